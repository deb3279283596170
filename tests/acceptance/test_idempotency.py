"""kill -9 with an `Idempotency-Key` claimed: done once, and the key is never stuck."""

from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.processes import Process, Product, expect, product


class Kill(NamedTuple):
    """Where the process dies, and whether what was asked for is done by then."""

    failpoint: str
    path: str
    is_done: bool


EVENTS, WEBHOOKS = "/api/v1/events", "/api/v1/webhooks"
BODIES: dict[str, Any] = {
    EVENTS: {"type": "a.b", "data": {}},
    WEBHOOKS: {"url": "https://example.com/hook", "event_types": ["*"]},
}
KILLS = [
    Kill("append.call", EVENTS, is_done=False),
    Kill("command.call", WEBHOOKS, is_done=False),
    Kill("append.called", EVENTS, is_done=True),
    Kill("command.called", WEBHOOKS, is_done=True),
]


@pytest.mark.timeout(120)
def test_killed_before_what_it_does_and_after(
    database_url: str, tmp_path: Path
) -> None:
    with product(database_url, tmp_path) as made:
        api = made.serve()
        _, key = made.tenant()
        restart(made, api, KILLS[0].failpoint)
        with made.client(key) as client:
            for kill, following in zip(KILLS, [*KILLS[1:], None], strict=True):
                with pytest.raises(httpx.TransportError):
                    post(client, kill)
                restart(made, api, following and following.failpoint)
                judge(kill, post(client, kill), post(client, kill))
            assert len(expect(client.get(EVENTS), 200)["data"]) == 2
            assert len(expect(client.get(WEBHOOKS), 200)["data"]) == 2


def post(client: httpx.Client, kill: Kill) -> httpx.Response:
    headers = {"Idempotency-Key": kill.failpoint}
    return client.post(kill.path, json=BODIES[kill.path], headers=headers)


def judge(kill: Kill, first: httpx.Response, second: httpx.Response) -> None:
    """The first answer that is heard, and its repeat."""
    done = 202 if kill.path == EVENTS else 201
    assert (first.status_code, second.status_code) == (done, done)
    assert ("Idempotent-Replayed" in first.headers) == kill.is_done
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json() == first.json() | (
        {"secret": None} if kill.path == WEBHOOKS else {}
    )


def restart(made: Product, api: Process, failpoint: str | None) -> None:
    api.kill()
    api.environ["DAYBOOK_TEST_HARNESS"] = "1"
    api.environ["DAYBOOK_FAILPOINTS"] = f"{failpoint}=kill" if failpoint else ""
    api.start()
    made.wait_until_ready()
