"""The HTTP API over real sockets, on a real Postgres."""
