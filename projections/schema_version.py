"""Which migrations this code was written against; a test keeps it the last one's number."""

SCHEMA_VERSION = "0025"
