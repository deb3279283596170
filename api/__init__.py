"""How others ask: the HTTP API. Nothing imports this package."""
