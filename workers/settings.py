"""Settings of the processes that work: what each is, with unit and default."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from projections.settings import DatabaseSettings

# http://host:port, perhaps with user:password@ before the host.
EGRESS_PROXY = (
    r"^http://(?:(?P<user>[^/@:\s]+):(?P<password>[^/@\s]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})/?$"
)


class LogSettings(Struct, frozen=True, kw_only=True):
    """Where the logs of a process go."""

    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="what is less than this is not logged"),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "text", "json", "none"],
        Meta(
            description="what standard error gets; auto is text on a terminal and JSON "
            "elsewhere, none is nothing"
        ),
    ] = "auto"
    log_dir: Annotated[
        str | None,
        Meta(description="a folder for log files, one for each module and day"),
    ] = None
    log_days: Annotated[int, Meta(ge=1, description="days to keep log files")] = 30
    log_error_days: Annotated[
        int, Meta(ge=1, description="days to keep the log files of errors")
    ] = 90


class WorkerSettings(DatabaseSettings, frozen=True, kw_only=True):
    """What `daybook work` needs."""

    secret_keys: Annotated[
        str, Meta(description="the keys that open webhook secrets, as the API has them")
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
    lease_seconds: Annotated[
        float,
        Meta(
            ge=2,
            le=60,
            description="seconds after which the lanes of a worker that fell silent are "
            "taken by others",
        ),
    ] = 10.0
    concurrency: Annotated[
        int, Meta(ge=1, le=10_000, description="requests in flight at once, a process")
    ] = 1000
    grace_seconds: Annotated[
        float,
        Meta(ge=0, description="seconds to wait, when stopped, for requests in flight"),
    ] = 10.0
    egress_proxy: Annotated[
        Annotated[str, Meta(pattern=EGRESS_PROXY)] | None,
        Meta(
            description="a proxy that deliveries go through: http://host:port, perhaps "
            "with user:password@ before the host",
        ),
    ] = None
    metrics_host: Annotated[
        str, Meta(description="the address on which /metrics is shown, to anybody")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="the port of /metrics; 0 is none")
    ] = 0
