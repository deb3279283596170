"""The `daybook` command: each process of the product, and what one does by hand."""

import asyncio
import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import click
import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from migrations import runner
from projections import settings, startup
from projections.settings import DatabaseSettings, SettingsError
from workers import client, doctor, embedded, listening, logs, serve
from workers.client import Api
from workers.dev import files
from workers.dev.demo import example
from workers.dev.screen import Screen
from workers.dev.session import Session
from workers.receiver import Receiver
from workers.settings import WorkerSettings
from workers.worker import Worker


class Commands(click.Group):
    """What can be helped is told as a sentence that says how, not as a trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except HELPED as error:
            raise click.ClickException(str(error)) from error
        except psycopg.OperationalError as error:
            raise click.ClickException(
                f"the database does not answer: {error}"
            ) from error


HELPED = (
    embedded.EmbeddedUnavailable,
    runner.MigrationError,
    serve.PortsTaken,
    SettingsError,
    startup.Refused,
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="daybook")
def main() -> None:
    """An append-only event log in Postgres, and webhooks posted from it."""


@main.command()
@click.option("--port", default=8484, show_default=True, help="0 is any free port")
@click.option("--data-dir", type=click.Path(path_type=Path), help="default: .daybook")
@click.option("--no-demo", is_flag=True, help="no demonstration events, no webhook")
@click.option("--reset", is_flag=True, help="forget everything first")
def dev(port: int, data_dir: Path | None, no_demo: bool, reset: bool) -> None:
    """Everything in one command, on a Postgres of its own."""
    logs.configure("warning")
    folder = (data_dir or files.default_folder()).absolute()
    if files.load_dev(folder) is not None:
        raise click.ClickException(
            f"it runs already in {folder}: end it, or choose another --data-dir"
        )
    if reset:
        embedded.remove(folder / "postgres")
        (folder / "keys.json").unlink(missing_ok=True)
    _run(Session(folder, port, demo=not no_demo, screen=Screen()).run())


@main.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, envvar="DAYBOOK_HOST")
@click.option("--port", default=8484, show_default=True, envvar="DAYBOOK_PORT")
def serve_command(host: str, port: int) -> None:
    """The HTTP API; settings come from DAYBOOK_* variables."""
    logs.configure()
    url = _database_url()
    _run(startup.wait_and_check(url, "daybook_app"))
    sock = serve.listen(host, port)
    http = serve.server()
    click.echo(f"http://{host}:{sock.getsockname()[1]}", err=True)

    async def run() -> None:
        def stop() -> None:
            http.should_exit = True

        _on_signals(stop)
        await http.serve(sockets=[sock])

    _run(run())


@main.command()
def work() -> None:
    """A worker: the handoff and the deliveries; any number may run."""
    logs.configure()
    chosen = settings.read(WorkerSettings, os.environ)

    async def run() -> None:
        stop = asyncio.Event()
        _on_signals(stop.set)
        await startup.wait_and_check(chosen.database_url, "daybook_worker")
        await Worker(chosen).run(stop)

    _run(run())


@main.command()
def migrate() -> None:
    """Bring the database's schema up to this version."""
    done = runner.migrate(
        _database_url(), report=lambda m: click.echo(f"{m.version} {m.name}")
    )
    click.echo(f"{len(done)} applied" if done else "nothing to do")


@main.command("doctor")
def doctor_command() -> None:
    """What is wrong, if anything."""
    findings = asyncio.run(doctor.examine(_database_url()))
    table = Table("", "what", "", box=None, show_header=False)
    for finding in findings:
        mark = "[green]✓[/]" if finding.is_well else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.detail)
    Console().print(table)
    if not all(finding.is_well for finding in findings):
        raise SystemExit(1)


@main.command()
def env() -> None:
    """Shell variables of the running `daybook dev`, for eval."""
    running = files.load_dev(files.default_folder())
    if running is None:
        raise click.ClickException("no `daybook dev` runs here: python3 start.py dev")
    for name, value in (
        ("DAYBOOK_API_URL", running.api_url),
        ("DAYBOOK_API_KEY", running.api_key),
        ("DAYBOOK_OPERATOR_KEY", running.operator_key),
        ("DAYBOOK_TENANT_ID", running.tenant_id),
        ("DAYBOOK_RECEIVER_URL", running.receiver_url),
    ):
        click.echo(f"export {name}={shlex.quote(value)}")


@main.command()
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
        answer = api.call("POST", "/api/v1/events", json=event)
    click.echo(f"{answer['id']} at position {answer['position']}")


@main.command()
@click.option("--forward-to", "target", required=True, help="URL of your program")
@click.option("--type", "types", multiple=True, default=["*"], help="patterns")
def listen(target: str, types: tuple[str, ...]) -> None:
    """Forward deliveries to a program on this machine."""
    with client.connect() as api:
        _run(listening.run(api, target, types))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8485, show_default=True)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    envvar="DAYBOOK_WEBHOOK_SECRETS",
    required=True,
)
def receive(host: str, port: int, secrets: tuple[str, ...]) -> None:
    """The built-in receiver by itself: verifies, and shows each arrival on a line."""
    screen = Screen()

    async def run() -> None:
        stop = asyncio.Event()
        _on_signals(stop.set)
        receiver = Receiver(lambda: secrets, screen.arrival)
        screen.say(f"{await receiver.start(host, port)}/hooks/")
        await stop.wait()
        await receiver.stop()

    _run(run())


@main.group()
def tenants() -> None:
    """Tenants, for the operator."""


@tenants.command("create")
@click.argument("name")
@click.option("--external-id", help="your own name for it")
def create_tenant(name: str, external_id: str | None) -> None:
    """Begin a tenant."""
    body = {"name": name, "external_id": external_id}
    with client.connect(operator=True) as api:
        click.echo(api.call("POST", "/api/v1/tenants", json=body)["id"])


@tenants.command("list")
def list_tenants() -> None:
    """All tenants."""
    with client.connect(operator=True) as api:
        rows = list(api.pages("/api/v1/tenants"))
    _print_table(rows, ["id", "name", "external_id", "created_at"])


@main.group()
def keys() -> None:
    """API keys, for the operator."""


@keys.command("create")
@click.argument("name")
@click.option("--tenant", "tenant_id", required=True, help="ten_...")
@click.option("--scope", "scopes", multiple=True, required=True, help="repeatable")
def create_key(name: str, tenant_id: str, scopes: tuple[str, ...]) -> None:
    """Make a key; it is shown this once."""
    body = {"name": name, "tenant_id": tenant_id, "scopes": list(scopes)}
    with client.connect(operator=True) as api:
        click.echo(api.call("POST", "/api/v1/keys", json=body)["key"])


@keys.command("list")
@click.option("--tenant", "tenant_id", required=True, help="ten_...")
def list_keys(tenant_id: str) -> None:
    """A tenant's keys, without the keys themselves."""
    with client.connect(operator=True) as api:
        rows = list(api.pages("/api/v1/keys", tenant_id=tenant_id))
    _print_table(rows, ["id", "name", "hint", "scopes", "last_used_at"])


@keys.command("revoke")
@click.argument("key_id")
@click.option("--tenant", "tenant_id", required=True, help="ten_...")
def revoke_key(key_id: str, tenant_id: str) -> None:
    """End a key at once."""
    with client.connect(operator=True) as api:
        api.call("DELETE", f"/api/v1/keys/{key_id}", params={"tenant_id": tenant_id})
    click.echo("revoked")


def _fail_next(api: Api, event_type: str, times: int) -> None:
    running = files.load_dev(files.default_folder())
    if running is None:
        raise click.ClickException(
            "--fail needs the receiver of a running `daybook dev`"
        )
    base = running.receiver_url.rsplit("/hooks/", 1)[0]
    api.call("POST", f"{base}/control/fail", json={"type": event_type, "times": times})


def _print_table(rows: list[dict[str, Any]], names: list[str]) -> None:
    table = Table(*names, box=None)
    for cells in client.columns(rows, names):
        table.add_row(*cells)
    Console(soft_wrap=True).print(table)


def _database_url() -> str:
    """The database of the settings, else that of the running `daybook dev`."""
    running = files.load_dev(files.default_folder())
    if not os.environ.get("DAYBOOK_DATABASE_URL") and running is not None:
        return running.database_url
    return settings.read(DatabaseSettings, os.environ).database_url


def _on_signals(stop: Any) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def _run(work: Any) -> None:
    uvloop.run(work)
