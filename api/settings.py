"""Settings of the HTTP process: what each is, with its unit and default."""

from typing import Annotated

from msgspec import Meta

from projections.settings import DatabaseSettings


class ApiSettings(DatabaseSettings, frozen=True, kw_only=True):
    """What `daybook serve` needs."""

    secret_keys: Annotated[
        str,
        Meta(
            description="keys that seal webhook secrets: name:base64 of 32 bytes, comma "
            "separated; the first seals, all open"
        ),
    ]
    operator_key: Annotated[
        str,
        Meta(
            min_length=16,
            description="the key that manages tenants and keys; at least 16 characters, "
            "all of them random",
        ),
    ]
    development: Annotated[
        bool,
        Meta(description="let webhooks use http and loopback addresses; never in use"),
    ] = False
    webhook_ports: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9]{1,5}(,[0-9]{1,5})*$")] | None,
        Meta(
            description="ports besides 443 that webhooks may have, with commas between "
            "them; the same for API and workers",
        ),
    ] = None
    host: Annotated[str, Meta(description="the address to listen on")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="the port to listen on; 0 is any")
    ] = 8484
    limit_default: Annotated[
        int, Meta(ge=1, description="requests a minute, a key; tenants may differ")
    ] = 600
    limit_publish: Annotated[
        int,
        Meta(
            ge=1,
            description="requests to publish a minute, a tenant; tenants may differ. "
            "None in development",
        ),
    ] = 60_000
    limit_auth: Annotated[
        int, Meta(ge=1, description="keys that are none, a minute, an address")
    ] = 10
    limit_test: Annotated[
        int, Meta(ge=1, description="test deliveries a minute, a webhook")
    ] = 5
    limit_retry: Annotated[
        int, Meta(ge=1, description="retries by hand a minute, a webhook")
    ] = 10
    allowed_hosts: Annotated[
        str | None,
        Meta(
            description="names that requests may give in Host, comma separated; "
            "without it, any"
        ),
    ] = None
    cors_origins: Annotated[
        str | None,
        Meta(
            description="origins whose pages may call the API from a browser, comma "
            "separated, as https://app.example; * is any, and without it, none"
        ),
    ] = None
    trusted_proxies: Annotated[
        str | None,
        Meta(
            description="addresses and networks of proxies whose X-Forwarded-For and "
            "X-Forwarded-Proto are believed, comma separated"
        ),
    ] = None
    memory_limit_mb: Annotated[
        int,
        Meta(
            ge=128,
            description="resident memory, in megabytes, above which the process says it "
            "is not ready",
        ),
    ] = 2048
