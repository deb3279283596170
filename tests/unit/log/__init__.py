"""The log's parts that need no database."""
