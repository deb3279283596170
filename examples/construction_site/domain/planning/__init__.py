"""Planning: who works where, and when."""
