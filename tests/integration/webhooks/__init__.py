"""Webhooks on a real Postgres: ranges, the handoff, lanes, the worker."""
