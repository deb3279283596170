"""Things tests need, made through the product's own doors; a test says what matters."""

from typing import Any
from uuid import UUID

import msgspec

from domain import ids
from domain.application import Log
from domain.log.entry import OPERATOR, Context, Entry, Statement
from domain.tenancy import commands as tenancy
from domain.webhooks import commands as webhooks
from domain.webhooks.settings import Settings
from projections.vault import Vault
from projections.webhooks import sealing
from projections.webhooks.sealing import Place

SECRET_KEYS = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
VAULT = Vault(SECRET_KEYS)
SECRET = b"a webhook secret of thirty-two b"


def an_entry(tenant_id: UUID, **fields: Any) -> Entry:
    """An event that somebody publishes."""
    given = {
        "tenant_id": tenant_id,
        "event_id": ids.fresh("evt"),
        "stream": "site/7",
        "type": "crane.inspected",
        "state": b'{"passed":true}',
    }
    return Entry(**(given | fields))


def a_tenant(log: Log, name: str = "Northside", external_id: str | None = None) -> UUID:
    """A tenant, made as the operator makes one."""
    tenant_id = ids.new()
    context = Context(OPERATOR, operator=True)
    tenancy.create_tenant(log, context, tenant_id, name, external_id)
    return tenant_id


def settings(**fields: Any) -> Settings:
    """What a tenant sets of a webhook."""
    given = {"url": "https://receiver.example/hook", "event_types": ["*"]}
    return msgspec.convert(given | fields, Settings)


def a_webhook(log: Log, tenant_id: UUID, **fields: Any) -> UUID:
    """A webhook with its first secret; development mode, so any address is allowed."""
    webhook_id = ids.new()
    context = Context("user:test", riders=[first_secret(tenant_id, webhook_id)])
    webhooks.create(
        log, context, tenant_id, webhook_id, settings(**fields), development=True
    )
    return webhook_id


def first_secret(tenant_id: UUID, webhook_id: UUID) -> Statement:
    """What is written beside a webhook's first event."""
    return sealing.signing_rider(VAULT, Place(tenant_id, webhook_id, 1), SECRET)
