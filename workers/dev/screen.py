"""What development mode shows: its progress, where things are, each arrival on a line."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from workers.dev.files import Dev
from workers.receiver import Arrival

PREVIEW = 60  # characters of an event's data


class Screen:
    """Standard output, for people."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._status = self._console.status("starting")

    def step(self, what: str) -> None:
        """Something that takes time begins."""
        if self._console.is_terminal:
            self._status.update(what)
            self._status.start()
        else:
            self._console.print(f"  {what}", markup=False)

    def say(self, text: str) -> None:
        """A line, with rich's markup."""
        self._status.stop()
        self._console.print(text)

    def arrival(self, arrival: Arrival) -> None:
        """One webhook that arrived at the built-in receiver."""
        self._status.stop()
        line = Text("  ")
        line.append(
            arrival.received_at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim"
        )
        if not arrival.verified:
            line.append(f"  refused: {arrival.reason}", "bold red")
        elif arrival.answered >= 300:
            line.append(f"  ✗ answered {arrival.answered}", "bold yellow")
        else:
            line.append("  ✓ verified", "bold green")
        line.append(f"  {arrival.type}", "bold")
        line.append(f"  position {arrival.position}  attempt {arrival.attempt}")
        line.append(f"  {_preview(arrival.body)}", "dim")
        self._console.print(line)

    def line(self, name: str, text: str) -> None:
        """What a program beside us says."""
        self._status.stop()
        line = Text(f"  {name}  ", "bold")
        line.append(text, "not bold")
        self._console.print(line)

    def ready(self, dev: Dev, kept: int, tries: Sequence[str]) -> None:
        """Where everything is, and `tries`: commands to type next."""
        self._status.stop()
        say = self._console.print
        say()
        say("[bold]Daybook is ready.[/]" + (f" It kept {kept} events." if kept else ""))
        say(f"  API        {dev.api_url}      docs: {dev.api_url}/docs")
        say(f"  receiver   {dev.receiver_url}")
        say(f"  key        {escape(dev.api_key)}")
        say(f"  tenant     {dev.tenant_id}")
        say()
        say("In another terminal:")
        say('  eval "$(python3 start.py env)"', markup=False)
        for command in tries:
            say(f"  {command}", markup=False)
        say()
        say("Ctrl-C ends everything; the events stay.", style="dim")


def tries(dev: Dev, event: dict[str, Any], *, fails: bool) -> list[str]:
    """Commands that publish this event and, with a webhook to fail for, one of its type."""
    publish = (
        f"curl -s {dev.api_url}/api/v1/events"
        f" -H 'Authorization: Bearer {dev.api_key}'"
        " -H 'Content-Type: application/json'"
        f" -d '{json.dumps(event, ensure_ascii=False)}'"
    )
    failing = f"python3 start.py trigger {event['type']} --fail 2"
    return [publish, failing] if fails else [publish]


def _preview(body: bytes) -> str:
    try:
        content: Any = json.loads(body)
        text = json.dumps(content.get("data"), ensure_ascii=False)
    except (ValueError, AttributeError):
        text = body.decode("utf-8", "replace")
    return text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"
