"""Commands for what is sealed at rest, at the database and with the keys."""

import os

import click

from projections import postgres, settings, startup
from projections.vault import Vault
from projections.webhooks import resealing
from workers.commands import running
from workers.settings import WorkerSettings


@click.group()
def secrets() -> None:
    """What webhooks sign with and send along, as it is sealed at rest."""


@secrets.command("reseal")
def reseal() -> None:
    """Seal with the first of DAYBOOK_SECRET_KEYS what others have sealed.

    While everything runs; all processes must know the new key by then.
    """
    chosen = settings.read(WorkerSettings, os.environ)
    running.run(_reseal(chosen.database_url, Vault(chosen.secret_keys)))


async def _reseal(url: str, vault: Vault) -> None:
    await startup.check(url, "daybook_worker")
    async with await postgres.connect(url, "daybook_worker", "resealing") as connection:
        outcome = await resealing.reseal(connection, vault)
    click.echo(f"{outcome.resealed} sealed anew with {vault.first}")
    if outcome.closed:
        names = ", ".join(
            f"{n} by {name}" for name, n in sorted(outcome.closed.items())
        )
        raise click.ClickException(
            f"some do not open, sealed {names}: put these keys into "
            "DAYBOOK_SECRET_KEYS, behind the first, and run this again"
        )


COMMANDS = (secrets,)
