"""Commands for tenants: over the API with the operator's key, or at the database.

The operator's key reads no tenant's data, so whoever exports it has the database's URL.
"""

from pathlib import Path
from typing import Any
from uuid import UUID

import click

from domain import ids
from workers import client, exporting, offboarding
from workers.client import Api
from workers.commands import running
from workers.exporting import Exported

PATH = "/api/v1/tenants"
_FILE = click.Path(path_type=Path, dir_okay=False)


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
        click.echo(api.call("POST", PATH, json=body)["id"])


@tenants.command("list")
def list_tenants() -> None:
    """All tenants."""
    with client.connect(operator=True) as api:
        rows = list(api.pages(PATH))
    client.show(rows, ["id", "name", "external_id", "state", "created_at"])


@tenants.command("show")
@click.argument("tenant_id")
def show_tenant(tenant_id: str) -> None:
    """One tenant with its settings."""
    with client.connect(operator=True) as api:
        _show(api.call("GET", f"{PATH}/{tenant_id}"))


@tenants.command("set")
@click.argument("tenant_id")
@click.option("--name", help="what it is called")
@click.option("--external-id", help="your own name for it; '' takes it away")
@click.option(
    "--strict-types/--no-strict-types", default=None, help="declared types only"
)
@click.option("--retention-days", help="how long its delivery history is kept")
@click.option("--webhooks", help="how many it may have")
def set_tenant(
    tenant_id: str,
    name: str | None,
    external_id: str | None,
    strict_types: bool | None,
    retention_days: str | None,
    webhooks: str | None,
) -> None:
    """Change what is named; `default` for a number is the number of every tenant."""
    settings: dict[str, Any] = {}
    if strict_types is not None:
        settings["strict_types"] = strict_types
    if retention_days is not None:
        settings["retention_days"] = _number(retention_days)
    if webhooks is not None:
        settings["limits"] = {"webhooks": _number(webhooks)}
    body: dict[str, Any] = {"settings": settings} if settings else {}
    if name is not None:
        body["name"] = name
    if external_id is not None:
        body["external_id"] = external_id or None
    with client.connect(operator=True) as api:
        _show(api.call("PATCH", f"{PATH}/{tenant_id}", json=body))


@tenants.command("suspend")
@click.argument("tenant_id")
@click.option("--reason", help="for whoever reads it later")
def suspend_tenant(tenant_id: str, reason: str | None) -> None:
    """Let its keys do nothing and its deliveries wait."""
    with client.connect(operator=True) as api:
        _turn(api, tenant_id, "suspend", {"reason": reason})


@tenants.command("resume")
@click.argument("tenant_id")
def resume_tenant(tenant_id: str) -> None:
    """Let it go on; what waited is sent."""
    with client.connect(operator=True) as api:
        _turn(api, tenant_id, "resume", {})


@tenants.command("export")
@click.argument("tenant_id")
@click.argument("file", type=_FILE)
def export_tenant(tenant_id: str, file: Path) -> None:
    """Write its events and configuration to FILE, or go on with the one that is there."""
    url = running.database_url()
    _tell(exporting.export(url, _parsed(tenant_id), file), file)


@tenants.command("offboard")
@click.argument("tenant_id")
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="ask nothing")
def offboard_tenant(tenant_id: str, file: Path, yes: bool) -> None:
    """End it for good, once its events and configuration are in FILE."""
    one, url = _parsed(tenant_id), running.database_url()
    if not yes:
        click.confirm(f"End {tenant_id} for good?", abort=True)
    _tell(offboarding.offboard(url, one, file, click.echo), file)


def _parsed(tenant_id: str) -> UUID:
    try:
        return ids.decode("ten", tenant_id)
    except ids.MalformedId as error:
        raise click.BadParameter(f"{tenant_id!r} is not a tenant's id") from error


def _tell(exported: Exported, file: Path) -> None:
    click.echo(f"{file}: {exported.events:,} events, SHA-256 {exported.sha256}")


def _turn(api: Api, tenant_id: str, action: str, body: dict[str, Any]) -> None:
    click.echo(api.call("POST", f"{PATH}/{tenant_id}/{action}", json=body)["state"])


def _number(text: str) -> int | None:
    """None is the default of every tenant."""
    if text == "default":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a number nor default") from error


def _show(tenant: dict[str, Any]) -> None:
    """Its members, those within others by their path."""
    for name, value in _flat(tenant):
        click.echo(f"{name:<24} {'-' if value is None else value}")


def _flat(members: dict[str, Any], under: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in members.items():
        if isinstance(value, dict):
            found += _flat(value, f"{under}{name}.")
        else:
            found.append((f"{under}{name}", value))
    return found


COMMANDS = (tenants,)
