"""The demonstration: a tenant, a webhook to the built-in receiver, a few events.

All of it goes through the public API, as an integrator would do it.
"""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from domain.tenancy import api_key
from workers.dev.files import Keys, project

TENANT = "demo"
FALLBACK = '{"type":"site.opened","stream":"sites/1","data":{"name":"Villa"}}'


class Demo:
    """Sets up and drives the demonstration over HTTP."""

    def __init__(self, api_url: str, keys: Keys) -> None:
        self._keys = keys
        self._client = httpx.AsyncClient(base_url=api_url, timeout=20, trust_env=False)

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def wait_until_ready(self) -> None:
        """Until `/health/ready` says 200; raises httpx.HTTPError when it never does."""
        transport = httpx.AsyncHTTPTransport(retries=20)
        async with httpx.AsyncClient(
            base_url=self._client.base_url, transport=transport, timeout=20
        ) as client:
            (await client.get("/health/ready")).raise_for_status()

    async def ensure_tenant(self) -> None:
        """The tenant and a key of every tenant scope, once a folder."""
        if self._keys.tenant_id is None:
            tenant = await self._call(
                "POST", "/api/v1/tenants", {"name": TENANT}, operator=True
            )
            self._keys.tenant_id = tenant["id"]
        if self._keys.api_key is None:
            body = {
                "name": "dev",
                "tenant_id": self._keys.tenant_id,
                "scopes": list(api_key.SCOPES),
            }
            key = await self._call("POST", "/api/v1/keys", body, operator=True)
            self._keys.api_key = key["key"]

    async def kept(self) -> int:
        """How many events the log already has."""
        page = await self._call("GET", "/api/v1/events?order=desc&limit=1&type=*")
        return int(page["data"][0]["position"]) if page["data"] else 0

    async def ensure_webhook(self, url: str) -> None:
        """A webhook for everything to the built-in receiver, wherever it is this time."""
        if self._keys.webhook_id is None:
            body = {"url": url, "event_types": ["*"], "name": "demo", "retry": "fast"}
            webhook = await self._call("POST", "/api/v1/webhooks", body)
            self._keys.webhook_id = webhook["id"]
            self._keys.webhook_secrets.append(webhook["secret"])
            return
        path = f"/api/v1/webhooks/{self._keys.webhook_id}"
        if (await self._call("GET", path))["url"] != url:
            await self._call("PATCH", path, {"url": url})

    async def publish(self, events: Sequence[dict[str, Any]]) -> list[str]:
        """Publish; the events' ids."""
        answer = await self._call("POST", "/api/v1/events/batch", {"events": events})
        return [event["id"] for event in answer["events"]]

    async def _call(
        self, method: str, path: str, body: Any = None, *, operator: bool = False
    ) -> Any:
        key = self._keys.operator_key if operator else self._keys.api_key
        response = await self._client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {key}"}
        )
        if response.is_error:
            raise RuntimeError(
                f"{method} {path}: {response.status_code} {response.text}"
            )
        return response.json()


def examples() -> list[dict[str, Any]]:
    """The events of a demonstration, from `examples/demo.ndjson`."""
    path = project() / "examples" / "demo.ndjson"
    text = path.read_text("utf-8") if path.exists() else FALLBACK
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def example(event_type: str) -> dict[str, Any]:
    """An event of this type, with an example's data when there is one."""
    for event in examples():
        if event["type"] == event_type:
            return event
    return {"type": event_type, "data": {"example": True}}
