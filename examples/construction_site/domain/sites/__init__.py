"""Sites: where work is done, from their opening to their end."""
