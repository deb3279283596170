"""Logs: one event a line, structured, written by a thread that nobody waits for.

No request or response bodies, no secrets: what is logged is named where it is logged, and
of errors no more is told than `projections.failure` does.
"""

from workers.logs.setup import writing

__all__ = ["writing"]
