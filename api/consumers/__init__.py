"""The API of consumers: events pulled by place, and acknowledged."""
