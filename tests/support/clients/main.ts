// Publishes, subscribes and lists with a client that was generated from the document.
import { createClient } from "./client/client/index.js";
import {
  createWebhook,
  listEvents,
  listWebhooks,
  publishBatch,
  publishEvent,
  type Event,
  type PublishEvent,
  type Webhook,
} from "./client/index.js";

declare const process: { argv: string[] };
const [baseUrl, auth] = process.argv.slice(2) as [string, string];
const client = createClient({ baseUrl, auth });

const event: PublishEvent = { type: "hours.validated", data: { minutes: 480 } };
const published = await publishEvent({ client, body: event, throwOnError: true });
await publishBatch({ client, body: { events: [event, event] }, throwOnError: true });
const webhook = await createWebhook({
  client,
  body: { url: "https://erp.example/hooks", event_types: ["hours.*"] },
  throwOnError: true,
});

const events: Event[] = [];
for (let cursor: string | undefined, more = true; more; ) {
  const query = { type: ["hours.*"], limit: 2, cursor };
  const page = await listEvents({ client, query, throwOnError: true });
  events.push(...page.data.data);
  cursor = page.data.next ?? undefined;
  more = cursor !== undefined;
}
const webhooks = await listWebhooks({ client, throwOnError: true });
const refused = await publishEvent({ client, body: { ...event, type: "no type" } });

const ids = webhooks.data.data.map((one: Webhook) => one.id);
console.log(
  JSON.stringify({
    published: published.data.id,
    events: events.map((one) => one.id),
    webhook: webhook.data.id,
    webhooks: ids,
    refused: refused.error?.code,
  }),
);
