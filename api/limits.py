"""How much a request may have, in one place: routes enforce it, `/me` and pages show it."""

from domain.webhooks.subscription import MOST_WEBHOOKS

EVENT_BYTES = 256 * 1024
BATCH_EVENTS = 1000
BATCH_BYTES = 8 * 1024 * 1024
BODY_BYTES = 64 * 1024  # any other body
WEBHOOKS = MOST_WEBHOOKS
