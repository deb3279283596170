"""How others reach the construction site over HTTP, by the paths they know."""
