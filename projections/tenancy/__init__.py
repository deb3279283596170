"""Tenants and keys as rows."""
