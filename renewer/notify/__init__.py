"""What is said to people: notices, and the channels that carry them."""
