"""What may happen: pure decisions, without a database, a network or a clock."""
