"""Tests of the rules for webhooks."""
