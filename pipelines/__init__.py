"""The graph and its ends."""
