"""A believable company: three sites, forty workers, eight weeks; the same each time."""
