"""The payroll: each validated hour in its own books, exactly once.

    python payroll.py            receive, reconcile, print each import
    python payroll.py totals     what is in the books, by worker

`heures.validated` comes by webhook, the moment it happens, perhaps twice and in any order;
the key of the table makes that harmless. What no webhook brought, because this program or
the network was away for longer than Daybook repeats, is found by a consumer: a place in
the log that Daybook keeps for us. It moves on only after what stands before it was
committed here, so whatever is killed when, the books become equal to the log.
"""

import sqlite3
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import hooks
import httpx

VALIDATED = "heures.validated"
CONSUMER = "/api/v1/consumers/payroll"
# A validation that the webhook has not brought after so many seconds is looked after.
GRACE_SECONDS = 2.0
AWAY_SECONDS = 1.0  # before it is tried again, when Daybook or the disk was away

# An event has one line, whatever happens; so have the hours it is about. Minutes are whole
# numbers: nothing is rounded on its way to the payslip.
BOOKS = """
create table if not exists hours (
    event_id text primary key,
    position integer not null,
    heures_id text not null unique,
    ouvrier_id text not null,
    chantier_id text not null,
    date text not null,
    minutes integer not null,
    valide_par text not null,
    brought_by text not null check (brought_by in ('webhook', 'reconciliation'))
);
create table if not exists refused (event_id text primary key, why text not null);
"""
KNOWN = """
select 1 from hours where event_id = ?1 union all
select 1 from refused where event_id = ?1
"""
ENTER = """
insert into hours values (
    :event_id, :position, :heures_id, :ouvrier_id, :chantier_id, :date, :minutes,
    :valide_par, :brought_by)
"""
TOTALS = """
select ouvrier_id, count(*), sum(minutes) from hours group by ouvrier_id order by 1
"""
REFUSE = "insert into refused values (?, ?)"
DAY = 24 * 60  # minutes
FIELDS = {
    "heures_id": str,
    "ouvrier_id": str,
    "chantier_id": str,
    "date": str,
    "minutes": int,
    "valide_par": str,
}


class Books:
    """The payroll's own SQLite file."""

    def __init__(self) -> None:
        self.connection = hooks.database(hooks.folder() / "payroll.sqlite3")
        self.connection.executescript(BOOKS)
        self._using = threading.Lock()

    def take(self, event: dict[str, Any]) -> None:
        """One event, from the webhook."""
        if self.enter([event], "webhook"):
            line = event["data"]
            hooks.say(
                f"{line['date']}  {line['ouvrier_id']}  {line['minutes']} min"
                f"  {line['heures_id']}  by webhook"
            )

    def enter(self, events: Iterable[dict[str, Any]], brought_by: str) -> int:
        """All of them or none, durably, but what is there already; how many are new."""
        with self._using, self.connection:
            return sum(self._enter(event, brought_by) for event in events)

    def _enter(self, event: dict[str, Any], brought_by: str) -> bool:
        if self.connection.execute(KNOWN, [event["id"]]).fetchone():
            return False
        try:
            line = checked(event["data"])
            line |= {"event_id": event["id"], "position": event["position"]}
            self.connection.execute(ENTER, line | {"brought_by": brought_by})
        except (ValueError, sqlite3.IntegrityError) as error:
            # For a person to look at: sent again it would be the same, and what comes
            # after it must not wait.
            self.connection.execute(REFUSE, [event["id"], str(error)])
            hooks.say(f"refused {event['id']}: {error}")
            return False
        return True


def checked(data: dict[str, Any]) -> dict[str, Any]:
    """What is entered of the hours. Raises ValueError for what cannot be paid."""
    wrong = [name for name, kind in FIELDS.items() if type(data.get(name)) is not kind]
    if wrong:
        raise ValueError(f"missing, or of another kind: {', '.join(wrong)}")
    if not 0 < data["minutes"] <= DAY:
        raise ValueError(f"a day does not have {data['minutes']} minutes")
    return {name: data[name] for name in FIELDS}


def reconcile(books: Books, api: httpx.Client) -> None:
    """Follow the log, page by page, for ever; a thread of its own."""
    consumer = {"event_types": [VALIDATED], "start": "beginning"}
    while True:
        try:
            api.put(CONSUMER, json=consumer).raise_for_status()
            while True:
                reconcile_page(books, api)
        except (httpx.HTTPError, sqlite3.OperationalError) as error:
            hooks.say(f"once more in a moment: {error!r}")
            time.sleep(AWAY_SECONDS)


def reconcile_page(books: Books, api: httpx.Client) -> None:
    """What comes next in the log is in the books; then it is acknowledged."""
    answer = api.get(f"{CONSUMER}/events", params={"limit": 500, "wait": 20})
    page = answer.raise_for_status().json()
    if page["data"]:
        # The webhook is given its chance with what is new.
        newest = datetime.fromisoformat(page["data"][-1]["recorded_at"])
        age = (datetime.now(UTC) - newest).total_seconds()
        time.sleep(min(max(GRACE_SECONDS - age, 0.0), GRACE_SECONDS))
        if found := books.enter(page["data"], "reconciliation"):
            hooks.say(f"{found} entered by reconciliation: no webhook had brought them")
    # Not before they are committed: killed here, we are given the same page again.
    api.post(f"{CONSUMER}/ack", json={"position": page["position"]}).raise_for_status()


def show_totals(connection: sqlite3.Connection) -> None:
    """Who worked how long, and what a person must look at."""
    for worker, bookings, minutes in connection.execute(TOTALS):
        worked = f"{minutes // 60} h {minutes % 60:02} min"
        hooks.say(f"{worker}  {bookings} bookings  {worked}")
    for event_id, why in connection.execute("select event_id, why from refused"):
        hooks.say(f"refused: {event_id}  {why}")


def main() -> None:
    """Run what the command line asks for."""
    books = Books()
    if sys.argv[1:] == ["totals"]:
        show_totals(books.connection)
        return
    api = hooks.client()
    secret = hooks.subscribed(
        books.connection,
        api,
        name="payroll",
        event_types=[VALIDATED],
        retry="durable",
    )
    threading.Thread(target=reconcile, args=(books, api), daemon=True).start()
    hooks.serve(secret, books.take)


if __name__ == "__main__":
    main()
