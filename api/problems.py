"""What can be refused, one row a code: its status, its title, and what to do about it.

The one table of errors. Codes never change their meaning; the pages under /problems, the
OpenAPI document and every error answer are made from it.
"""

from typing import NamedTuple


class Problem(NamedTuple):
    """One code."""

    status: int
    title: str
    remedy: str


PROBLEMS: dict[str, Problem] = {
    "malformed_json": Problem(
        400,
        "The body is not JSON that can be kept",
        "Send one JSON object in UTF-8, without a byte order mark, a repeated member "
        "name, U+0000 or more than 64 levels. `detail` says what was found, and about "
        "where.",
    ),
    "cursor_invalid": Problem(
        400,
        "The cursor does not fit",
        "Send `next` or `prev` back as it was, with the same key to the same list with "
        "the same filters. To change a filter, begin without a cursor.",
    ),
    "unauthenticated": Problem(
        401,
        "No valid key was sent",
        "Send `Authorization: Bearer <api key>`. The key may have expired or been "
        "revoked.",
    ),
    "scope_missing": Problem(
        403,
        "The key may not do this",
        "Use a key with the scope that `detail` names; the operator's key manages "
        "tenants and keys and reads no tenant's data. A platform key names a tenant in "
        "`Daybook-Tenant`; any other key speaks for its own tenant only.",
    ),
    "tenant_suspended": Problem(
        403,
        "The tenant is suspended",
        "None of its keys may do anything until the operator resumes it; then everything "
        "is as it was, and what it is owed is sent.",
    ),
    "not_found": Problem(
        404,
        "There is nothing here",
        "Check the path and the id. What belongs to another tenant, and an id of the "
        "wrong form, is answered like what does not exist.",
    ),
    "method_not_allowed": Problem(
        405,
        "The method is not for this path",
        "`Allow` lists the methods of this path.",
    ),
    "event_exists": Problem(
        409,
        "The event id is taken, with other content",
        "`event` and `Location` name the event that has the id. Choose another id for "
        "another event; a repeat must have the same content.",
    ),
    "version_conflict": Problem(
        409,
        "The stream has moved on",
        "Somebody else was quicker. Read the stream again, decide anew, and send the "
        "version you then saw.",
    ),
    "log_rewound": Problem(
        409,
        "The log ends before this position",
        "You hold a position that this log never gave out, as after a restore from a "
        "backup. Compare what you kept with the log before you go on.",
    ),
    "idempotency_running": Problem(
        409,
        "The first request with this key is still running",
        "Send it again after `Retry-After` seconds: when the first one is done, its answer "
        "is yours too.",
    ),
    "webhook_disabled": Problem(
        409,
        "The webhook is disabled",
        "Enable the webhook first; what it is owed waits.",
    ),
    "etag_mismatch": Problem(
        412,
        "The webhook has changed since",
        "Read it again and send the new `ETag` in `If-Match`.",
    ),
    "too_large": Problem(
        413,
        "The request is too large",
        "An event has at most 256 KiB, a batch 1,000 events and 8 MiB, any other body "
        "64 KiB.",
    ),
    "media_type": Problem(
        415,
        "The body is not declared as JSON",
        "Send `Content-Type: application/json`, in UTF-8 and not compressed.",
    ),
    "invalid": Problem(
        422,
        "The request is not valid",
        "`errors` lists every wrong place and what is expected there.",
    ),
    "unknown_field": Problem(
        422,
        "The request has a field that is not known here",
        "Remove the fields or parameters that `errors` names. What Daybook does not do "
        "yet is refused too, rather than accepted and ignored.",
    ),
    "type_reserved": Problem(
        422,
        "The event type is Daybook's own",
        "Types that begin with `daybook.` are written by Daybook alone.",
    ),
    "type_undeclared": Problem(
        422,
        "Nobody has declared the event type",
        "The tenant is strict: declare the type with PUT /api/v1/webhook-events/{type}, "
        "or ask the operator to set `strict_types` to false.",
    ),
    "schema_violation": Problem(
        422,
        "The data breaks the schema of its event type",
        "`errors` names each place and what is expected there. Read the schema with GET "
        "/api/v1/webhook-events/{type}; `dry_run=true` tells what a change would mean.",
    ),
    "pattern_invalid": Problem(
        422,
        "A pattern is not valid",
        "A pattern of event types is a type, or `prefix.*`, or `*`; one of streams is a "
        "stream, or a prefix that ends in `*`.",
    ),
    "filter_invalid": Problem(
        422,
        "A payload filter is not valid",
        "`errors` names each wrong place. A filter tests paths such as `data.minutes` with "
        "operators such as `$gte`; it has at most 4 KiB, 5 levels and 50 tests.",
    ),
    "url_refused": Problem(
        422,
        "The URL may not be called",
        "A webhook's URL is https, on port 443, with a public host name and no user "
        "info.",
    ),
    "limit_reached": Problem(
        422,
        "The tenant's limit is reached",
        "Remove what is not used any more, or ask the operator.",
    ),
    "causation_too_deep": Problem(
        422,
        "The chain of causes is too long",
        "`causation_id` names an event with ten causes before it: most often two "
        "systems that answer each other for ever.",
    ),
    "upgrade_required": Problem(
        426,
        "This is a WebSocket",
        "Open it as one, with `Upgrade: websocket`; browsers do with `new WebSocket(...)`.",
    ),
    "rate_limited": Problem(
        429,
        "Too many requests in this minute",
        "Wait for `Retry-After` seconds. `RateLimit-Policy` says how many there may be, "
        "and `RateLimit` how many are left and for how many seconds.",
    ),
    "busy": Problem(
        429,
        "There is too much of it at once",
        "`detail` says of what. Try again after `Retry-After` seconds, or end some.",
    ),
    "idempotency_mismatch": Problem(
        422,
        "The Idempotency-Key belongs to another request",
        "A key names one request: method, path and body. Send this one under a fresh key; "
        "repeat the other one exactly as it was.",
    ),
    "internal": Problem(
        500,
        "Daybook failed",
        "It is not your request. The operator finds the reason in the log, under "
        "`request_id`.",
    ),
    "unavailable": Problem(
        503,
        "Daybook cannot do this now",
        "Nothing was stored. Try again after `Retry-After` seconds.",
    ),
    "read_model_behind": Problem(
        503,
        "What is asked for has not been posted from the log yet",
        "The write is in the log. Read again after `Retry-After` seconds, or without "
        "`at_least` to see what there is.",
    ),
    "outcome_unknown": Problem(
        503,
        "Whether it was stored is not known",
        "The database went away in the commit. Repeating with the same `id`, or the same "
        "`Idempotency-Key`, is always safe: it is stored once.",
    ),
}
