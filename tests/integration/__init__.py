"""Against a real Postgres, in this process."""
