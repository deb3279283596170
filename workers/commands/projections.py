"""Commands for projections, over the API, with the operator's key."""

import time
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from workers import client
from workers.client import Api

PATH = "/api/v1/projections"
LOOK_SECONDS = 0.5
INTERRUPTED = 130  # what a shell calls a command that Ctrl-C ended


@click.group()
def projections() -> None:
    """Projections, for the operator."""


@projections.command("list")
def list_projections() -> None:
    """Where each is, and what keeps it."""
    with client.connect(operator=True) as api:
        rows = [_line(each) for each in api.pages(PATH)]
    names = ["name", "version", "state", "lag_events", "moved", "rebuild", "error"]
    client.show(rows, names)


@projections.command("pause")
@click.argument("name")
def pause_projection(name: str) -> None:
    """Hold it: no batch runs until `resume`."""
    with client.connect(operator=True) as api:
        click.echo(api.call("POST", f"{PATH}/{name}/pause")["state"])


@projections.command("resume")
@click.argument("name")
def resume_projection(name: str) -> None:
    """Let it go on where it was."""
    with client.connect(operator=True) as api:
        click.echo(api.call("POST", f"{PATH}/{name}/resume")["state"])


@projections.command("errors")
@click.argument("name")
def list_errors(name: str) -> None:
    """The events it could not apply."""
    with client.connect(operator=True) as api:
        rows = list(api.pages(f"{PATH}/{name}/errors"))
    client.show(rows, ["id", "state", "tenant_id", "stream", "at", "retry", "error"])


@projections.command("retry")
@click.argument("name")
@click.argument("error_id")
def retry_error(name: str, error_id: str) -> None:
    """Try an event again, with what waits behind it."""
    with client.connect(operator=True) as api:
        api.call("POST", f"{PATH}/{name}/errors/{error_id}/retry")
    click.echo("it will be tried again; it leaves the list when it was applied")


@projections.command("skip")
@click.argument("name")
@click.argument("error_id")
def skip_error(name: str, error_id: str) -> None:
    """Leave an event out, for good."""
    with client.connect(operator=True) as api:
        api.call("POST", f"{PATH}/{name}/errors/{error_id}/skip")
    click.echo("skipped")


@projections.command("rebuild")
@click.argument("name")
@click.option("--tenant", "tenant_id", help="ten_...: its rows only, in place")
@click.option("--accept", is_flag=True, help="go live even if the new rows differ")
@click.option("--cancel", is_flag=True, help="end the one that runs")
def rebuild(name: str, tenant_id: str | None, accept: bool, cancel: bool) -> None:
    """Make its rows anew beside the live ones, and watch; or watch the one that runs."""
    path = f"{PATH}/{name}/rebuild"
    with client.connect(operator=True) as api:
        if cancel:
            click.echo(api.call("DELETE", path)["state"])
            return
        try:
            begun = _begin(api, name, {"tenant_id": tenant_id, "accept": accept})
            ended = _watch(api, path, begun)
        except KeyboardInterrupt:
            click.echo(
                "It goes on without you: the same command shows it again, "
                "with --cancel it ends."
            )
            raise SystemExit(INTERRUPTED) from None
    _tell_end(ended)


def _line(each: dict[str, Any]) -> dict[str, Any]:
    unfinished = each["rebuild"]
    moved = f"{each['seconds_since_advance']:.0f} s ago"
    return each | {"moved": moved, "rebuild": unfinished and unfinished["state"]}


def _begin(api: Api, name: str, body: dict[str, Any]) -> Any:
    """The rebuild that runs already, when nothing else is asked for; else a new one."""
    asks_for_more = any(body.values())
    for each in [] if asks_for_more else api.pages(PATH):
        found = each["rebuild"]
        if each["name"] == name and found and found["state"] == "running":
            click.echo(f"One that began at {found['started_at']} runs already.")
            return found
    return api.call("POST", f"{PATH}/{name}/rebuild", json=body)


def _watch(api: Api, path: str, found: Any) -> Any:
    """Show its progress until it is over; how it ended."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=Console(soft_wrap=True)) as progress:
        task = progress.add_task(found["projection"], total=found["target"], pace="")
        while True:
            progress.update(
                task,
                completed=found["position"],
                total=found["target"],
                pace=_pace(found),
            )
            if found["state"] != "running":
                return found
            time.sleep(LOOK_SECONDS)
            found = api.call("GET", path)


def _pace(found: Any) -> str:
    rate, seconds = found["rate_events_per_second"], found["remaining_seconds"]
    if rate is None:
        return "waiting for a worker" if found["state"] == "running" else ""
    left = "" if seconds is None else f", {seconds:,.0f} s left"
    return f"{rate:,.0f}/s{left}"


def _tell_end(ended: Any) -> None:
    name = ended["projection"]
    match ended["state"]:
        case "switched":
            click.echo(f"{name}: the new rows are live")
        case "ready":
            parity = ended["parity"]
            click.echo(
                f"{name}: the new rows differ ({parity['rebuilt']}, live are "
                f"{parity['live']}), and wait: --accept or --cancel"
            )
        case state:
            reason = f": {ended['error']}" if ended["error"] else ""
            raise click.ClickException(f"{name}: {state}{reason}; the old rows stay")


COMMANDS = (projections,)
