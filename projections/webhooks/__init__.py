"""Webhooks as rows: their configuration, what is owed, and what came of it."""
