"""The construction site, whole: over HTTP, with a worker, from its seed data."""
