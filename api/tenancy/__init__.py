"""The API of tenants and keys."""
