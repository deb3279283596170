"""The embedded Postgres itself."""
