"""The product's own API, as the command line calls it: the same door as everybody's."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from projections import settings
from workers.dev import files

REMEDY = (
    "Start Daybook with `python3 start.py dev`, or set DAYBOOK_API_URL and {key} to "
    "those of a running one."
)


_WIDEST = 10_000  # columns; a narrower terminal goes on in the next line


class Refusal(click.ClickException):
    """The API said no; its problem is the message."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        lines = [f"{problem.get('title', response.reason_phrase)}: "]
        lines[0] += str(problem.get("detail", f"status {response.status_code}"))
        for fault in problem.get("errors", []):
            place = fault.get("pointer") or fault.get("parameter")
            lines.append(f"  {place}: {fault.get('detail')}")
        super().__init__("\n".join(lines))


class Api:
    """A few calls, each answered or a click error that says what to do."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """The answer's JSON, None without a body. Raises click.ClickException."""
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise click.ClickException(
                f"{self._client.base_url} does not answer ({type(error).__name__}). "
                + REMEDY.format(key="a key")
            ) from error
        if response.is_error:
            raise Refusal(response)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise click.ClickException(
                f"{self._client.base_url} does not answer as Daybook does. "
                + REMEDY.format(key="a key")
            ) from error

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """Every entry of a list, page after page."""
        params = {"limit": 100} | params
        while True:
            page = self.call("GET", path, params=params)
            yield from page["data"]
            if not page["next"]:
                return
            params["cursor"] = page["next"]


@contextmanager
def connect(*, operator: bool = False) -> Iterator[Api]:
    """The API named by the environment, else that of the running `daybook dev`."""
    variable = "DAYBOOK_OPERATOR_KEY" if operator else "DAYBOOK_API_KEY"
    url, key = os.environ.get("DAYBOOK_API_URL"), settings.text(variable, os.environ)
    dev = files.running()
    if dev is not None:
        url = url or dev.api_url
        key = key or (dev.operator_key if operator else dev.api_key)
    if not url or not key:
        raise click.ClickException(
            "no Daybook is running here. " + REMEDY.format(key=variable)
        )
    if not key.isascii():
        raise click.ClickException(f"{variable} is no key: keys are ASCII")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(
        base_url=url, headers=headers, timeout=30, trust_env=False
    ) as client:
        yield Api(client)


def show(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Some members of each row as a table, a line each: what is copied from it is whole."""
    table = Table(*names, box=None)
    for row in rows:
        table.add_row(*(escape(_text(row.get(name))) for name in names))
    Console(width=_WIDEST).print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
