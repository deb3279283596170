"""Commands for events, over the API, with a tenant's key."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from workers import client, listening
from workers.client import Api
from workers.commands import running
from workers.dev import files
from workers.dev.demo import example

PATH = "/api/v1/events"
LOOK_SECONDS = 0.5
PREVIEW = 80  # characters of an event's data


@click.command()
@click.argument("event_type", metavar="TYPE")
@click.option("--data", help="the event's data, a JSON object; default: an example")
@click.option("--stream", help="the event's stream")
@click.option("--fail", default=0, help="the receiver answers 500 so many times first")
def trigger(event_type: str, data: str | None, stream: str | None, fail: int) -> None:
    """Publish one event."""
    event = example(event_type)
    if data is not None:
        try:
            event = {"type": event_type, "data": json.loads(data)}
        except ValueError as error:
            raise click.BadParameter(f"--data is not JSON: {error}") from error
    if stream is not None:
        event["stream"] = stream
    with client.connect() as api:
        if fail:
            _fail_next(api, event_type, fail)
        answer = api.call("POST", PATH, json=event)
    click.echo(f"{answer['id']} at position {answer['position']}")


@click.command()
@click.option("--forward-to", "target", required=True, help="URL of your program")
@click.option("--type", "types", multiple=True, default=["*"], help="patterns")
def listen(target: str, types: tuple[str, ...]) -> None:
    """Forward deliveries to a program on this machine."""
    with client.connect() as api:
        running.run(listening.run(api, target, types))


@click.group()
def events() -> None:
    """Events of a tenant's log."""


@events.command("tail")
@click.option("--after", type=int, help="begin behind this position; default: now")
@click.option("--type", "types", multiple=True, help="patterns of types; repeatable")
def tail_events(after: int | None, types: tuple[str, ...]) -> None:
    """Show events as they come, one a line, until Ctrl-C."""
    filters = {"type": list(types)} if types else {}
    with client.connect() as api:
        try:
            for event in _follow(api, after, filters):
                click.echo(_line(event))
        except KeyboardInterrupt:
            pass  # the way to end it


@events.command("get")
@click.argument("event_id")
def get_event(event_id: str) -> None:
    """One event as JSON, with the states of its deliveries."""
    with client.connect() as api:
        event = api.call("GET", f"{PATH}/{event_id}")
    click.echo(json.dumps(event, indent=2, ensure_ascii=False))


@events.command("stats")
@click.option("--last", default=10_000, show_default=True, help="how many to look at")
def show_stats(last: int) -> None:
    """Counts by type of the newest events, and the rate at which they came."""
    with client.connect() as api:
        newest = list(islice(api.pages(PATH, order="desc", limit=500), last))
    counts = Counter(event["type"] for event in newest)
    rows = [{"type": name, "events": number} for name, number in counts.most_common()]
    client.show(rows, ["type", "events"])
    click.echo(f"{len(newest)} events{_rate(newest)}")


def _follow(api: Api, after: int | None, filters: dict[str, Any]) -> Iterator[Any]:
    if after is None:
        page = api.call("GET", PATH, params={"order": "desc", "limit": 1})
        after = int(page["position"])
    while True:
        params = filters | {"after": after, "limit": 500}
        page = api.call("GET", PATH, params=params)
        yield from page["data"]
        after = page["position"]
        if page["next"] is None:
            time.sleep(LOOK_SECONDS)


def _line(event: Any) -> str:
    data = json.dumps(event["data"], ensure_ascii=False)
    data = data if len(data) <= PREVIEW else data[: PREVIEW - 1] + "…"
    at = event["recorded_at"]
    return f"{event['position']}  {at}  {event['type']}  {event['stream']}  {data}"


def _rate(newest: list[Any]) -> str:
    if len(newest) < 2:
        return ""
    last, first = (
        datetime.fromisoformat(newest[place]["recorded_at"]) for place in (0, -1)
    )
    seconds = (last - first).total_seconds()
    return f" in {seconds:,.1f} s, {len(newest) / seconds:,.1f}/s" if seconds else ""


def _fail_next(api: Api, event_type: str, times: int) -> None:
    found = files.running()
    if found is None:
        raise click.ClickException(
            "--fail needs the receiver of a running `daybook dev`"
        )
    base = found.receiver_url.rsplit("/hooks/", 1)[0]
    api.call("POST", f"{base}/control/fail", json={"type": event_type, "times": times})


COMMANDS = (trigger, listen, events)
