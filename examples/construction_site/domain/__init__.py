"""What may happen on construction sites: pure decisions."""
