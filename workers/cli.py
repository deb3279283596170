"""The `daybook` command: each process of the product, and what one does by hand.

Put together here; the commands themselves stand in `workers.commands`.
"""

from typing import Any

import click
import psycopg

from domain.errors import DomainError
from migrations import runner
from projections import startup
from projections.settings import SettingsError
from workers import embedded, exporting, serve
from workers.backup.programs import BackupError
from workers.commands import (
    backup,
    events,
    keys,
    projections,
    running,
    sealing,
    tenants,
)

HELPED = (
    BackupError,
    DomainError,
    embedded.EmbeddedUnavailable,
    exporting.ExportError,
    runner.MigrationError,
    serve.PortsTaken,
    SettingsError,
    startup.Refused,
)


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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="daybook")
def main() -> None:
    """An append-only event log in Postgres, and webhooks posted from it."""


for _words in (running, tenants, keys, events, projections, backup, sealing):
    for _command in _words.COMMANDS:
        main.add_command(_command)
