"""The API of the log: publishing events and reading them."""
