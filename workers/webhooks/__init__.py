"""The webhook workers: what sends the requests, and what they may reach."""
