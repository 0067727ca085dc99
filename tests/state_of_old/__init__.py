"""A state directory that c0fc4e7 made, and what e11d8eb printed of it: continued without an order."""
