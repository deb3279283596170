"""Commands that run the product: each of its processes, the schema, the doctor."""

import asyncio
import contextlib
import json
import os
import shlex
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console
from rich.table import Table

from migrations import runner
from projections import context, settings, startup
from projections.context import Contexts
from projections.settings import DatabaseSettings
from workers import doctor, embedded, garbage, logs, serve, spans
from workers.dev import files
from workers.dev.example import find
from workers.dev.screen import Screen
from workers.dev.session import Session
from workers.doctor import Finding
from workers.metrics import Metrics
from workers.receiver import Receiver
from workers.settings import LogSettings, WorkerSettings
from workers.stopping import on_signals
from workers.worker import Worker

PORT = click.IntRange(0, 65_535)


@click.command()
@click.option(
    "--port", type=PORT, default=8484, show_default=True, help="0 is any free port"
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="default: .daybook")
@click.option("--no-demo", is_flag=True, help="no demonstration events, no webhook")
@click.option("--reset", is_flag=True, help="forget everything first")
@click.option("--example", "named", help="an application of the folder `examples`")
def dev(
    port: int, data_dir: Path | None, no_demo: bool, reset: bool, named: str | None
) -> None:
    """Everything in one command, on a Postgres of its own."""
    example = find(named) if named else None
    folder = (data_dir or files.default_folder() / (named or "")).absolute()
    if files.load_dev(folder) is not None:
        raise click.ClickException(
            f"it runs already in {folder}: end it, or choose another --data-dir"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"{folder} cannot be made: {error.strerror}; choose another --data-dir"
        ) from error
    if reset:
        embedded.remove(folder / "postgres")
        (folder / "keys.json").unlink(missing_ok=True)
    contexts = os.environ.get("DAYBOOK_CONTEXTS")
    session = Session(
        folder,
        port,
        # What it publishes could be what commands of theirs alone may record.
        demo=not (no_demo or contexts or example),
        screen=Screen(),
        contexts=contexts,
        example=example,
    )
    with logs.writing(_log_settings("warning")), spans.exporting("daybook"):
        run(session.run())


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, envvar="DAYBOOK_HOST")
@click.option(
    "--port", type=PORT, default=8484, show_default=True, envvar="DAYBOOK_PORT"
)
@click.option(
    "--trusted-proxies",
    envvar="DAYBOOK_TRUSTED_PROXIES",
    help="addresses and networks, comma separated",
)
def serve_command(host: str, port: int, trusted_proxies: str | None) -> None:
    """The HTTP API; settings come from DAYBOOK_* variables."""
    with logs.writing(_log_settings()), spans.exporting("daybook-api"):
        url = database_url()
        http = serve.server(trusted_proxies)
        http.config.load()  # a wrong setting is told before anybody waits for a database
        run(startup.wait_and_check(url, *startup.API))
        sock = serve.listen(host, port)
        click.echo(f"http://{host}:{sock.getsockname()[1]}", err=True)

        async def answer() -> None:
            def stop() -> None:
                http.should_exit = True

            on_signals(stop)
            await http.serve(sockets=[sock])

        run(answer())


@click.command()
def work() -> None:
    """A worker: projections and deliveries; any number may run."""
    chosen = settings.read(WorkerSettings, os.environ)

    async def work_until_told() -> None:
        stop = asyncio.Event()
        on_signals(stop.set)
        await startup.wait_and_check(chosen.database_url, *startup.WORKER)
        worker = Worker(chosen, context.load(chosen.contexts))
        garbage.spare()
        async with _metrics(chosen, worker):
            await worker.run(stop)

    with logs.writing(_log_settings()), spans.exporting("daybook-worker"):
        run(work_until_told())


@click.command()
def migrate() -> None:
    """Bring the database's schema up to this version."""
    done = runner.migrate(
        database_url(), folders(), report=lambda m: click.echo(f"{m.version} {m.name}")
    )
    click.echo(f"{len(done)} applied" if done else "nothing to do")


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="a line of JSON for each finding")
def doctor_command(as_json: bool) -> None:
    """What is wrong, if anything."""
    findings = asyncio.run(doctor.examine(database_url(), folders()))
    if as_json:
        for finding in findings:
            click.echo(json.dumps(finding._asdict()))
    else:
        _show(findings)
    if not all(finding.is_well for finding in findings):
        raise SystemExit(1)


def _show(findings: Sequence[Finding]) -> None:
    table = Table("", "what", "", box=None, show_header=False)
    for finding in findings:
        mark = "[green]✓[/]" if finding.is_well else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.detail)
    Console().print(table)


@click.command()
def env() -> None:
    """Shell variables of the running `daybook dev`, for eval."""
    running = files.running()
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


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8485, show_default=True)
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

    async def receive_until_told() -> None:
        stop = asyncio.Event()
        on_signals(stop.set)
        receiver = Receiver(lambda: secrets, screen.arrival)
        try:
            url = await receiver.start(host, port)
        except OSError as error:
            detail = f"{host} port {port} cannot be listened on: {error.strerror}"
            raise serve.PortsTaken(detail) from error
        screen.say(f"{url}/hooks/")
        await stop.wait()
        await receiver.stop()

    run(receive_until_told())


def database_url() -> str:
    """The database of the settings, else that of the running `daybook dev`."""
    running = files.running()
    if not os.environ.get("DAYBOOK_DATABASE_URL") and running is not None:
        return running.database_url
    return settings.read(DatabaseSettings, os.environ).database_url


def folders() -> runner.Folders:
    """Where the migrations of the contexts of `DAYBOOK_CONTEXTS` lie, or of its `dev`."""
    named = os.environ.get("DAYBOOK_CONTEXTS")
    running = files.running()
    if not named and running is not None:
        named = running.contexts
    return Contexts(context.load(named)).folders


def run(what: Coroutine[Any, Any, None]) -> None:
    """Run it to its end on an event loop."""
    uvloop.run(what)


def _log_settings(level: str = "info") -> LogSettings:
    """Those of the environment, where it names none with this level."""
    chosen = os.environ.get("DAYBOOK_LOG_LEVEL") or level
    return settings.read(LogSettings, {**os.environ, "DAYBOOK_LOG_LEVEL": chosen})


@contextlib.asynccontextmanager
async def _metrics(chosen: WorkerSettings, worker: Worker) -> AsyncIterator[None]:
    """`/metrics` and health beside the worker, when there is a port for it."""
    metrics = Metrics(chosen.database_url, worker.may_send)
    if chosen.metrics_port:
        await metrics.open(chosen.metrics_host, chosen.metrics_port)
    try:
        yield
    finally:
        await metrics.close()


COMMANDS = (dev, serve_command, work, migrate, doctor_command, env, receive)
