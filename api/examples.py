"""An example of each shape that is sent, and of those that most answers are made of.

They tell one story: hours of work on building sites, and a payroll that hears of them. A
test holds each to its shape, and sends those that are sent to a server.
"""

from collections.abc import Mapping
from typing import Any

_ID = "01jd3r8v6n0qj0v4y4x9m2k7c5"
_EVENT = f"evt_{_ID}"
_WEBHOOK, _DELIVERY, _KEY, _TENANT = (
    f"wh_{_ID}",
    f"dlv_{_ID}",
    f"key_{_ID}",
    f"ten_{_ID}",
)
_THEN, _LATER = "2026-11-20T07:59:58.120000Z", "2026-11-20T08:00:00.004512Z"
_MAKER = {"type": "key", "id": _KEY}
_DATA = {"minutes": 480, "site": "LL"}
_SCHEMA = {
    "type": "object",
    "properties": {
        "minutes": {"type": "integer", "minimum": 1, "maximum": 1440},
        "site": {"type": "string"},
    },
    "required": ["minutes"],
}
_PUBLISHED = {
    "id": _EVENT,
    "position": 1042,
    "stream": "hours/77",
    "version": 3,
    "recorded_at": _LATER,
}
_HAPPENED = {
    "id": _EVENT,
    "position": 1042,
    "type": "hours.validated",
    "stream": "hours/77",
    "version": 3,
    "source": "/daybook",
    "source_id": None,
    "subject": "worker/12",
    "data": _DATA,
    "metadata": {"approved_by": "foreman"},
    "occurred_at": _THEN,
    "recorded_at": _LATER,
    "actor": _MAKER,
    "correlation_id": None,
    "causation_id": None,
    "depth": 0,
}

Examples = Mapping[str, dict[str, Any]]

BY_SHAPE: Examples = {
    # What is sent.
    "PublishEvent": {
        "type": "hours.validated",
        "data": _DATA,
        "stream": "hours/77",
        "id": "hours-77-2026-11-20",
        "subject": "worker/12",
        "occurred_at": "2026-11-20T08:59:58.12+01:00",
        "metadata": {"approved_by": "foreman"},
    },
    "PublishBatch": {
        "events": [
            {"type": "hours.created", "data": _DATA, "stream": "hours/78"},
            {"type": "hours.validated", "data": _DATA, "stream": "hours/78"},
        ]
    },
    "CloudEvent": {
        "specversion": "1.0",
        "id": "A-17",
        "source": "https://erp.example/hours",
        "type": "hours.validated",
        "time": "2026-11-20T07:59:58.12Z",
        "stream": "hours/79",
        "data": _DATA,
    },
    "DeclareEventType": {
        "description": "A day's hours of one worker were approved.",
        "schema": _SCHEMA,
        "example": _DATA,
        "secret_fields": ["/iban"],
    },
    "WebhookSettings": {
        "url": "https://erp.example/hooks",
        "name": "payroll",
        "event_types": ["hours.*"],
    },
    "CreateWebhook": {
        "url": "https://erp.example/hooks",
        "name": "payroll",
        "event_types": ["hours.*"],
        "filter": {"data.minutes": {"$gt": 0}},
        "start": "beginning",
    },
    "RotateSecret": {"overlap_seconds": 3600},
    "MatchEvent": {"type": "hours.validated", "data": _DATA},
    "WantRedrive": {"since": "2026-11-01T00:00:00Z", "all": False},
    "WebhookChanges": {"event_types": ["hours.validated"], "name": None},
    "EnableWebhook": {"resume": "continue"},
    "DisableWebhook": {"reason": "the ERP is moved this weekend"},
    "SendTest": {"type": "hours.validated"},
    "WantReplay": {"from": {"time": "2026-11-01T00:00:00Z"}, "only_failed": True},
    "PutConsumer": {"event_types": ["hours.*"], "start": "beginning"},
    "Acknowledge": {"position": 1042},
    "Seek": {"to": {"position": 1000}},
    "CreateKey": {"name": "erp", "scopes": ["events:read", "webhooks:write"]},
    "RotateKey": {"overlap_seconds": 3600},
    "CreateTenant": {"name": "Northside", "external_id": "n-1"},
    "TenantChanges": {"name": "Northside Ltd"},
    "SuspendTenant": {"reason": "no contract any more"},
    "StartRebuild": {"accept": False},
    "Nothing": {},
    # What is answered.
    "Published": _PUBLISHED,
    "PublishedBatch": {"events": [_PUBLISHED | {"replayed": False}]},
    "Event": _HAPPENED,
    "EventPage": {"data": [_HAPPENED], "next": None, "prev": None, "position": 1042},
    "EventWithDeliveries": _HAPPENED
    | {"deliveries": [{"id": _DELIVERY, "webhook_id": _WEBHOOK, "state": "succeeded"}]},
    "Delivered": {
        "id": _EVENT,
        "type": "hours.validated",
        "timestamp": _THEN,
        "data": _DATA,
        "stream": "hours/77",
        "version": 3,
        "position": 1042,
        "subject": "worker/12",
        "tenant_id": _TENANT,
        "metadata": {"approved_by": "foreman"},
    },
    "EventType": {
        "type": "hours.validated",
        "description": "A day's hours of one worker were approved.",
        "schema": _SCHEMA,
        "schema_version": 1,
        "example": _DATA,
        "deprecated": False,
        "secret_fields": ["/iban"],
        "declared": True,
        "system": False,
    },
    "DryRun": {
        "dry_run": True,
        "checked": 812,
        "breaking": 1,
        "position": 1042,
        "complete": True,
        "data": [
            {
                "id": _EVENT,
                "position": 733,
                "errors": [{"pointer": "#/data/minutes", "detail": "it is required"}],
            }
        ],
    },
    "Problem": {
        "type": "/problems/schema_violation",
        "title": "The data breaks the schema of its event type",
        "status": 422,
        "code": "schema_violation",
        "detail": "1 field is wrong",
        "instance": "/api/v1/events",
        "request_id": f"req_{_ID}",
        "errors": [
            {
                "code": "schema_violation",
                "detail": "it is required",
                "pointer": "#/data/minutes",
            }
        ],
    },
}
