"""The tables of the construction site, numbered by itself."""
