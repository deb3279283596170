"""Commands for tenants and keys, over the API, with the operator's key."""

import click

from workers import client


@click.group()
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
    client.show(rows, ["id", "name", "external_id", "created_at"])


@click.group()
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
    client.show(rows, ["id", "name", "prefix", "scopes", "last_used_at"])


@keys.command("revoke")
@click.argument("key_id")
@click.option("--tenant", "tenant_id", required=True, help="ten_...")
def revoke_key(key_id: str, tenant_id: str) -> None:
    """End a key at once."""
    with client.connect(operator=True) as api:
        api.call("DELETE", f"/api/v1/keys/{key_id}", params={"tenant_id": tenant_id})
    click.echo("revoked")


COMMANDS = (tenants, keys)
