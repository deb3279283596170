"""The API of webhooks: who wants which events, and what came of it."""
