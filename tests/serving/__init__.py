"""What may be served, is served, and is seen to be served: without any authority."""
