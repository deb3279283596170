"""The construction site: what is decided, given what happened."""
