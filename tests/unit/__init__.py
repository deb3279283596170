"""Tests of single parts, without a database, a network or a clock."""
