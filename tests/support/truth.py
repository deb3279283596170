"""What must hold whatever died: the log, what is owed, arrivals, read models, all as one.

Asked once everything has come to rest, as a superuser, against folds of the log that know
nothing of batches and checkpoints.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import psycopg

from domain import ids, patterns
from tests.support import counting
from tests.support.fold import fold_log, fold_streams, live_streams
from tests.support.recording import Recorder

Admin = psycopg.Connection[Any]

AT_REST = """
    select not exists (select from owed)
        and not exists (select from rebuilds where state in ('running', 'ready'))
        and not exists (select from replays where state = 'running')
        and not exists (
            select from checkpoints where sweep or log_position <> (
                select coalesce(max(log_position), 0) from events)) as holds
"""
OWED = """
    select tenant_id, webhook_id, position, sequence from owed where replay = 0
    union all
    select tenant_id, webhook_id, position, sequence from results where replay = 0
    order by position
"""
REPLAYED = """
    select j.patterns, j.state, j.handed_off, j.succeeded + j.dead as finished,
        array(
            select position from owed o where (o.webhook_id, o.replay)
                = (j.webhook_id, j.replay)
            union all
            select position from results r where (r.webhook_id, r.replay)
                = (j.webhook_id, j.replay)
            order by 1) as positions,
        array(
            select e.position || ' ' || e.type from events e
            where e.tenant_id = j.tenant_id
                and e.position between j.from_position and j.to_position
            order by e.position) as events
    from replays j
"""
ATTEMPTS = """
    select e.event_id, a.outcome from attempts a
    join events e using (tenant_id, position) where a.webhook_id = %s
"""


def is_at_rest(admin: Admin) -> bool:
    """Nothing is owed, behind, being rebuilt or swept."""
    return bool(admin.execute(AT_REST).fetchall()[0].holds)


def assert_log_is_dense_and_has(admin: Admin, acknowledged: Mapping[str, int]) -> None:
    """No hole, nothing twice; what was acknowledged is where it was said to be."""
    rows = admin.execute(counting.LOGGED).fetchall()
    counting.require_dense(rows)
    found = Counter(row.event_id for row in rows)
    assert set(found.values()) == {1}
    positions = {row.event_id: row.position for row in rows}
    lost = {e for e, position in acknowledged.items() if positions.get(e) != position}
    assert not lost, f"acknowledged, and not in the log: {lost}"


def assert_owed_once(admin: Admin) -> None:
    """Owed + finished is the fold of the log, once each; sequences have no hole."""
    rows = admin.execute(OWED).fetchall()
    found = Counter(
        (r.tenant_id, f"$webhook/{ids.encode('wh', r.webhook_id)}", r.position)
        for r in rows
    )
    assert set(found) == fold_log(admin).owed
    assert set(found.values()) <= {1}
    sequences = defaultdict(list)
    for row in rows:
        sequences[row.webhook_id].append(row.sequence)
    for numbers in sequences.values():
        assert numbers == list(range(1, len(numbers) + 1))


def assert_replays_owed_once(admin: Admin) -> None:
    """What each has owed is what matches, once each, and what it says that it was."""
    for row in admin.execute(REPLAYED).fetchall():
        events = [text.split(" ") for text in row.events]
        wanted = [int(p) for p, t in events if patterns.matches(row.patterns, t)]
        assert row.positions == wanted
        assert row.handed_off == row.finished == len(wanted)
        assert row.state == "completed"


def assert_arrivals_are_accounted_for(
    admin: Admin, recorder: Recorder, path: str, webhook_id: str
) -> None:
    """Each arrival has its attempt, each answered attempt its arrival; bytes never vary."""
    arrivals = Counter(recorder.ids(path))
    all_attempts: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for row in admin.execute(ATTEMPTS, [ids.decode("wh", webhook_id)]).fetchall():
        all_attempts[row.event_id] += 1
        answered[row.event_id] += row.outcome != "unknown"
    for event_id in all_attempts | arrivals:
        heard, made = arrivals[event_id], all_attempts[event_id]
        assert answered[event_id] <= heard <= made, f"{event_id}: {heard} of {made}"
    bodies = defaultdict(set)
    for arrived in list(recorder.arrivals[path]):
        assert arrived.is_verified
        bodies[arrived.headers["webhook-id"]].add(arrived.body)
    assert all(len(different) == 1 for different in bodies.values())


def assert_read_models_are_folds(admin: Admin) -> None:
    """And nothing is left of other generations, set aside, or complained of."""
    assert live_streams(admin) == fold_streams(admin)
    [row] = admin.execute(
        "select count(distinct generation) as generations from stream_heads"
    ).fetchall()
    assert row.generations <= 1
    assert not admin.execute("select from projection_errors").fetchall()
    complaints = "select name, error from checkpoints where error is not null"
    assert not admin.execute(complaints).fetchall()
