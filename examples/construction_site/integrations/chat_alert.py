"""The chat alert: serious incidents, as messages in a channel.

    SLACK_URL=https://hooks.slack.com/services/... python chat_alert.py

Which incidents are serious is said in a payload filter, so the others are never sent. A
message is posted while Daybook waits for our answer: when the chat is away, we say so, and
Daybook keeps the incident and comes again by its schedule. What was posted is written down
under the event's id, so a repeat is not posted twice. One case is left: killed between the
post and that line, we post it again when we are back; a chat cannot be asked.
"""

import os
from typing import Any

import hooks
import httpx

SERIOUS = {"data.priorite": {"$in": ["haute", "critique"]}}
SIGNS = {"haute": ":warning:", "critique": ":rotating_light:"}
POSTED = "create table if not exists posted (event_id text primary key)"
KNOWN = "select 1 from posted where event_id = ?"


def message(event: dict[str, Any]) -> dict[str, Any]:
    """What Slack's incoming webhooks take, and Mattermost's, and Rocket.Chat's."""
    incident = event["data"]
    title = escaped(f"{incident['titre']} ({incident['chantier_id']})")
    text = f"{SIGNS[incident['priorite']]} *{incident['priorite']}*: {title}"
    body = f"{text}\n{escaped(incident['description'])}"
    section = {"type": "section", "text": {"type": "mrkdwn", "text": body}}
    return {"text": text, "blocks": [section]}


def escaped(text: str) -> str:
    """As Slack asks for it: an incident's text must not become a link or an alarm."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def main() -> None:
    """Post what comes."""
    connection = hooks.database(hooks.folder() / "chat_alert.sqlite3")
    connection.execute(POSTED)
    chat = httpx.Client(timeout=10)  # below the webhook's timeout

    def take(event: dict[str, Any]) -> None:
        if connection.execute(KNOWN, [event["id"]]).fetchone():
            return
        answer = chat.post(os.environ["SLACK_URL"], json=message(event))
        if answer.is_error:
            raise hooks.TryLater(answer.headers.get("Retry-After"))
        with connection:
            connection.execute("insert into posted values (?)", [event["id"]])
        hooks.say(f"posted {event['data']['signalement_id']}")

    with hooks.client() as api:
        secret = hooks.subscribed(
            connection,
            api,
            name="chat alert",
            event_types=["signalement.created"],
            filter=SERIOUS,
            timeout_seconds=15,
        )
    hooks.serve(secret, take)


if __name__ == "__main__":
    main()
