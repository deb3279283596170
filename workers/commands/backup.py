"""Commands for backups: take one while everything runs, restore one into a new database."""

from pathlib import Path

import click

from workers.backup import restoring, taking
from workers.commands import running

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
def backup(file: Path) -> None:
    """Write everything to a new FILE, and count that it is there."""
    manifest = taking.take(running.database_url(), file)
    rows = sum(manifest.tables.values())
    click.echo(
        f"{file}: {manifest.log_position} events, {rows} rows in "
        f"{len(manifest.tables)} tables, {file.stat().st_size:,} bytes"
    )
    click.echo("Keep DAYBOOK_SECRET_KEYS elsewhere: nothing else opens its secrets.")


@click.command()
@click.argument("file", type=_FILE)
def restore(file: Path) -> None:
    """Restore FILE into the empty database of DAYBOOK_DATABASE_URL."""
    restored = restoring.restore(
        running.database_url(), file, click.echo, running.folders()
    )
    click.echo(
        f"{restored.manifest.log_position} events are there, as log "
        f"{restored.incarnation}. Readers with a place in the old one are told "
        "`log_rewound`."
    )


COMMANDS = (backup, restore)
