"""Consumers: who reads which events at their own pace, and how far they have come."""
