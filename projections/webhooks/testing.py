"""Test deliveries as a worker takes and answers them."""

from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "testing.sql")
