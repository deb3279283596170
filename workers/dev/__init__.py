"""Development mode: everything in one command, on a Postgres of its own."""
