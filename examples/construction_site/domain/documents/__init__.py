"""Documents: plans and papers in folders, in versions."""
