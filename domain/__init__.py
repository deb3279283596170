"""What may happen: pure decisions, without a database, a network or a clock of their own."""
