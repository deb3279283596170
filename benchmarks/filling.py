"""Events and webhooks in quantity, made in the database: not what is measured."""

from typing import Any
from uuid import UUID

import psycopg

# Events as log_append would take them, 500 a call: (first, last] of all tenants in turn.
FILL = """
with n as (select i from generate_series(%(first)s::int, %(last)s::int) i),
made as (
    select array_agg(('00000000-0000-4000-8000-'
            || lpad((i %% %(tenants)s::int)::text, 12, '0'))::uuid order by i) as tenants,
        array_agg(i order by i) as requests,
        array_agg('evt_' || lpad(i::text, 26, '0') order by i) as ids,
        array_agg('stream/' || i %% %(streams)s::int order by i) as streams,
        array_agg((%(types)s::text[])[1 + i %% %(kinds)s::int] order by i) as types,
        array_agg('published'::text) as topics,
        array_agg(%(state)s::bytea) as states,
        array_fill(null::text, array[count(*)::int]) as texts,
        array_fill(null::bigint, array[count(*)::int]) as numbers,
        array_fill(null::bytea, array[count(*)::int]) as bytes,
        array_fill(null::timestamptz, array[count(*)::int]) as times
    from n
)
select count(*) from made, daybook.log_append(
    tenants, requests, ids, streams, numbers, types, topics, states, bytes, texts, texts,
    texts, texts, texts, times, bytes, texts, numbers, bytes)
"""
WEBHOOKS = """
with made as (
    insert into daybook.webhooks (
        tenant_id, webhook_id, number, url, event_types, retry, timeout_seconds,
        max_in_flight, metadata, state, version, created_by, created_at, updated_at)
    select ('00000000-0000-4000-8000-'
            || lpad((i %% %(tenants)s::int)::text, 12, '0'))::uuid,
        gen_random_uuid(), %(first)s::int + i, 'https://bench.example/',
        array[%(pattern)s::text], '"fast"', 15, 10, '{}', 'active', 1, 'bench', now(), now()
    from generate_series(0, %(count)s::int - 1) i
    returning tenant_id, webhook_id
), numbered as (
    insert into daybook.webhook_sequences (tenant_id, webhook_id, sequence, handed_off)
    select tenant_id, webhook_id, 0, 0 from made
), versioned as (
    insert into daybook.webhook_versions (
        tenant_id, webhook_id, version, streams, format)
    select tenant_id, webhook_id, 1, '{*}', 'standard' from made
)
insert into daybook.webhook_ranges (
    tenant_id, pattern, from_position, to_position, webhook_id, version, own_stream)
select tenant_id, %(pattern)s::text, 1, 9223372036854775807, webhook_id, 1, '$none'
from made
"""
STATE = b'{"x":"' + b"x" * 191 + b'"}'
GROUP = 500


def tenant(number: int) -> UUID:
    """The tenants that `events` fills: 0, 1, 2 ..."""
    return UUID(f"00000000-0000-4000-8000-{number:012d}")


def events(
    connection: psycopg.Connection[Any],
    first: int,
    last: int,
    *,
    tenants: int,
    types: list[str],
    streams: int = 100_000,
) -> None:
    """Append events number `first` to `last`."""
    for start in range(first, last + 1, GROUP):
        end = min(last, start + GROUP - 1)
        params = {
            "first": start,
            "last": end,
            "tenants": tenants,
            "streams": streams,
            "types": types,
            "kinds": len(types),
            "state": STATE,
        }
        connection.execute(FILL.encode(), params)


def webhooks(
    connection: psycopg.Connection[Any],
    count: int,
    pattern: str,
    *,
    tenants: int,
    first: int = 1,
) -> None:
    """So many webhooks for a pattern, over the tenants in turn."""
    params = {"count": count, "pattern": pattern, "tenants": tenants, "first": first}
    connection.execute(WEBHOOKS.encode(), params)
