"""The API of projections, for the operator: how they are, and what can be done to them."""
