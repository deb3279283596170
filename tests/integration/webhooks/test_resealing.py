"""Another key seals: everything is sealed anew, and nothing is lost on the way."""

import base64
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from domain import ids
from domain.application import Log
from domain.log.entry import Context
from domain.webhooks import subscription
from domain.webhooks.subscription import Subscription
from projections import postgres as connections
from projections.vault import Sealed, Vault, VaultError, headers_place, webhook_place
from projections.webhooks import resealing, sealing
from projections.webhooks.sealing import Place
from tests.support import builders, postgres
from tests.support.builders import SECRET, SECRET_KEYS, VAULT
from workers.cli import main

NEW_KEY = "k2:" + base64.b64encode(b"n" * 32).decode()
BOTH, NEW = f"{NEW_KEY},{SECRET_KEYS}", Vault(NEW_KEY)
VALUES = {"X-Env": "prod"}
SECRETS = "select * from webhook_secrets order by webhook_id, version, scheme"
HEADERS = "select * from webhook_headers order by webhook_id"


@pytest.fixture
def webhooks(application: Log, tenant_id: UUID) -> list[UUID]:
    """Seven of them, each with two secrets and headers, sealed by the old key."""
    made = [ids.new() for _ in range(7)]
    for webhook_id in made:
        place = Place(tenant_id, webhook_id, 1)
        riders = [
            sealing.signing_rider(VAULT, place, SECRET),
            sealing.key_rider(VAULT, place),
            sealing.headers_rider(VAULT, place, VALUES),
        ]
        webhook = Subscription(
            id=subscription.originator_id(tenant_id, webhook_id),
            settings=msgspec.to_builtins(builders.settings()),
        )
        application.record(webhook, Context("test", riders=riders))
    return made


async def reseal(url: str, vault: Vault) -> resealing.Outcome:
    async with await connections.connect(url, "daybook_worker", "test") as connection:
        return await resealing.reseal(connection, vault)


def rows(url: str, query: str) -> list[Any]:
    with postgres.connect(url) as admin:
        admin.row_factory = psycopg.rows.namedtuple_row
        return admin.execute(query.encode()).fetchall()


def opened(url: str, vault: Vault) -> int:
    """How many of all secrets and headers this vault opens, each for what it was."""
    count = 0
    for row in rows(url, SECRETS):
        place = webhook_place(row.tenant_id, row.webhook_id, row.version, row.scheme)
        secret = vault.open(Sealed(row.key_id, row.sealed), place)
        assert secret == SECRET if row.scheme == "v1" else len(secret) == 32
        count += 1
    for row in rows(url, HEADERS):
        place = headers_place(row.tenant_id, row.webhook_id, row.version)
        assert msgspec.json.decode(
            vault.open(Sealed(row.key_id, row.sealed), place)
        ) == (VALUES)
        count += 1
    return count


async def test_everything_is_sealed_anew(
    database_url: str, webhooks: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "MOST_AT_ONCE", 3)
    outcome = await reseal(database_url, Vault(BOTH))
    assert (outcome.resealed, outcome.closed) == (21, {})
    assert opened(database_url, NEW) == 21
    with pytest.raises(VaultError):
        opened(database_url, VAULT)
    assert (await reseal(database_url, Vault(BOTH))).resealed == 0


async def test_what_does_not_open_is_counted_and_stays(
    database_url: str, webhooks: list[UUID]
) -> None:
    outcome = await reseal(database_url, NEW)
    assert (outcome.resealed, outcome.closed) == (0, {"k1": 21})
    assert opened(database_url, VAULT) == 21


async def test_one_that_is_killed_is_gone_on_with(
    database_url: str, webhooks: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(BOTH)
    seal, left = vault.seal, iter(range(10))

    def ends(secret: bytes, place: str) -> Sealed:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return seal(secret, place)

    monkeypatch.setattr(vault, "seal", ends)
    with pytest.raises(KeyboardInterrupt):
        await reseal(database_url, vault)
    assert opened(database_url, Vault(BOTH)) == 21
    assert (await reseal(database_url, Vault(BOTH))).resealed == 11


def test_the_command(database_url: str, webhooks: list[UUID]) -> None:
    def run(keys: str) -> Any:
        environ = {"DAYBOOK_DATABASE_URL": database_url, "DAYBOOK_SECRET_KEYS": keys}
        return CliRunner().invoke(main, ["secrets", "reseal"], env=environ)

    refused = run(NEW_KEY)
    assert refused.exit_code == 1
    assert "21 by k1" in refused.output
    done = run(BOTH)
    assert (done.exit_code, done.output) == (0, "21 sealed anew with k2\n")
    assert run(NEW_KEY).output == "0 sealed anew with k2\n"
