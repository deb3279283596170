"""The log: its one way in, its tail, and the reads of it. Everybody's context."""
