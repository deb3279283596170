"""Publishes, subscribes and lists with a client that was generated from the document."""

import json
import sys

from client import AuthenticatedClient
from client.api.events import list_events, publish_batch, publish_event
from client.api.webhooks import create_webhook, list_webhooks
from client.models import (
    CreateWebhook,
    EventPage,
    Problem,
    PublishBatch,
    Published,
    PublishEvent,
    PublishEventData,
    Webhook,
    WebhookPage,
)
from client.types import UNSET

base_url, key = sys.argv[1:]
with AuthenticatedClient(base_url=base_url, token=key) as client:
    data = PublishEventData.from_dict({"minutes": 480})
    event = PublishEvent(type_="hours.validated", data=data)
    published = publish_event.sync(client=client, body=event)
    assert isinstance(published, Published)
    publish_batch.sync(client=client, body=PublishBatch(events=[event, event]))
    wanted = CreateWebhook(url="https://erp.example/hooks", event_types=["hours.*"])
    webhook = create_webhook.sync(client=client, body=wanted)
    assert isinstance(webhook, Webhook)

    events, cursor = [], UNSET
    while cursor is not None:
        page = list_events.sync(
            client=client, type_=["hours.*"], limit=2, cursor=cursor
        )
        assert isinstance(page, EventPage)
        events += page.data
        cursor = page.next_
    webhooks = list_webhooks.sync(client=client)
    assert isinstance(webhooks, WebhookPage)
    refused = publish_event.sync(
        client=client, body=PublishEvent(type_="no type", data=data)
    )
    assert isinstance(refused, Problem)

print(
    json.dumps(
        {
            "published": published.id,
            "events": [event.id for event in events],
            "webhook": webhook.id,
            "webhooks": [one.id for one in webhooks.data],
            "refused": refused.code,
        }
    )
)
