"""Without a database or a network."""
