"""Commands for keys, over the API, with the operator's key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from workers import client

PATH = "/api/v1/keys"
ACT = "tenants:act"

_TENANT = click.option("--tenant", "tenant_id", help="ten_...: whose")
_PLATFORM = click.option("--platform", is_flag=True, help="of no tenant, for all")
_DAYS = click.option("--days", type=click.IntRange(1), help="it ends after so many")


@click.group()
def keys() -> None:
    """API keys, for the operator."""


@keys.command("create")
@click.argument("name")
@_TENANT
@_PLATFORM
@_DAYS
@click.option("--scope", "scopes", multiple=True, required=True, help="repeatable")
def create_key(
    name: str,
    tenant_id: str | None,
    platform: bool,
    days: int | None,
    scopes: tuple[str, ...],
) -> None:
    """Make a key; it is shown this once. One for the platform acts for every tenant."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes)}
    body |= _whose(tenant_id, platform)
    if platform and ACT not in scopes:
        body["scopes"].append(ACT)
    if days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    with client.connect(operator=True) as api:
        click.echo(api.call("POST", PATH, json=body)["key"])


@keys.command("list")
@_TENANT
@_PLATFORM
def list_keys(tenant_id: str | None, platform: bool) -> None:
    """A tenant's keys, or those for the platform, without the keys themselves."""
    named = _whose(tenant_id, platform)
    with client.connect(operator=True) as api:
        rows = list(api.pages(PATH, **named))
    names = ["id", "name", "prefix", "scopes", "expires_at", "last_used_at"]
    client.show(rows, names)


@keys.command("rotate")
@click.argument("key_id")
@click.option("--overlap", default=0, show_default=True, help="seconds both work")
def rotate_key(key_id: str, overlap: int) -> None:
    """Put another key in its place; it is shown this once."""
    body = {"overlap_seconds": overlap}
    with client.connect(operator=True) as api:
        click.echo(api.call("POST", f"{PATH}/{key_id}/rotate", json=body)["key"])


@keys.command("revoke")
@click.argument("key_id")
@click.option("--tenant", "tenant_id", help="ten_...: whose it must be")
def revoke_key(key_id: str, tenant_id: str | None) -> None:
    """End a key at once."""
    named = {} if tenant_id is None else {"tenant_id": tenant_id}
    with client.connect(operator=True) as api:
        api.call("DELETE", f"{PATH}/{key_id}", params=named)
    click.echo("revoked")


def _whose(tenant_id: str | None, platform: bool) -> dict[str, str]:
    """Said in so many words: who forgets the tenant must not get a key for all of them."""
    if platform == (tenant_id is not None):
        raise click.UsageError("name --tenant or --platform, one of the two")
    return {} if tenant_id is None else {"tenant_id": tenant_id}


COMMANDS = (keys,)
