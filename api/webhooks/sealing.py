"""What settings keep beside the log: secrets to sign with, and the values of headers."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from api.request import ApiRequest
from api.webhooks.settings import Sent
from domain.log.entry import Statement
from domain.webhooks import headers
from domain.webhooks.settings import Settings
from projections.webhooks import sealing, views
from projections.webhooks.sealing import Place


def made(
    request: ApiRequest, webhook_id: UUID, sent: Sent, secret: bytes
) -> tuple[Settings, list[Statement]]:
    """A new webhook's settings in full, and what is written with them."""
    vault = request.services.vault
    place = Place(request.caller.tenant_id, webhook_id, 1)
    riders = [sealing.signing_rider(vault, place, secret)]
    if "v1a" in sent.settings.signing:
        riders.append(sealing.key_rider(vault, place))
    wanted = sent.settings
    if sent.headers:
        riders.append(sealing.headers_rider(vault, place, sent.headers))
        wanted = _with(wanted, sent.headers, place.version)
    return wanted, riders


async def changed(
    request: ApiRequest, seen: views.Webhook, sent: Sent
) -> tuple[Settings, list[Statement]]:
    """The same for a webhook that there is: its next version."""
    vault = request.services.vault
    place = Place(request.caller.tenant_id, seen.webhook_id, seen.version + 1)
    riders = []
    if "v1a" in sent.settings.signing and seen.public_key is None:
        riders.append(sealing.key_rider(vault, place))
    known = await _known(request, seen, sent)
    meant = known if sent.headers is None else headers.resolve(sent.headers, known)
    if meant == known:
        return _with(sent.settings, meant, seen.headers_version), riders
    if not meant:
        return sent.settings, riders
    riders.append(sealing.headers_rider(vault, place, meant))
    return _with(sent.settings, meant, place.version), riders


async def _known(
    request: ApiRequest, seen: views.Webhook, sent: Sent
) -> Mapping[str, str]:
    """The headers so far; their values only where they are asked for."""
    if sent.headers is None or not seen.headers_version:
        return dict.fromkeys(seen.header_names, headers.HIDDEN)
    tenant_id = request.caller.tenant_id
    place = Place(tenant_id, seen.webhook_id, seen.headers_version)
    async with request.services.database.tenant(tenant_id) as connection:
        return await sealing.headers(connection, request.services.vault, place)


def _with(settings: Settings, values: Mapping[str, str], version: int) -> Settings:
    return msgspec.structs.replace(
        settings, header_names=list(values), headers_version=version
    )
