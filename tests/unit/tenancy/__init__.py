"""Tests of the rules for tenants and keys."""
