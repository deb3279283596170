"""What tests share: databases, builders, waiting, an unreliable network."""
