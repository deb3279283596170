"""The product through its doors: HTTP in, webhook out, killed in between."""
