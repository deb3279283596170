"""The log: how it is appended to, kept and read."""
