"""Webhooks: who wants which events where, and the rules for reaching them."""
