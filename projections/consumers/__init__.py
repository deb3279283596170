"""Consumers as rows: their configuration, and how far they have come."""
