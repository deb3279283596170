"""Rules about the code itself: arrows, names, topics, statements, documentation."""
