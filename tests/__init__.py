"""The suite, in tiers by what they need: unit, integration, acceptance and more."""
