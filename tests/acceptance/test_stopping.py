"""SIGTERM: what an API process has begun it finishes, and begins nothing more."""

import threading
from pathlib import Path

import httpx

from tests.support.processes import product
from tests.support.waiting import eventually


def test_an_api_that_is_told_to_stop_answers_first(
    database_url: str, tmp_path: Path
) -> None:
    with product(database_url, tmp_path) as made:
        api = made.serve()
        _, key = made.tenant()
        answers: list[httpx.Response] = []

        def read() -> None:
            # It waits for 2 s, for a position that never comes.
            with made.client(key) as client:
                params = {"at_least": 10**9}
                answers.append(client.get("/api/v1/streams", params=params))

        def in_flight() -> bool:
            with made.operator() as operator:
                figures = operator.get("/metrics").text
            # The one that asks is in flight itself.
            return "\ndaybook_requests_in_flight 2.0\n" in figures

        reader = threading.Thread(target=read)
        reader.start()
        eventually(in_flight)
        assert api.running is not None
        api.running.terminate()
        eventually(lambda: _is_closed(made.api_url))
        assert answers == []
        assert api.running.wait(30) == 0
        reader.join()
        assert answers[0].json()["code"] == "read_model_behind"


def _is_closed(url: str) -> bool:
    try:
        httpx.get(f"{url}/health/live", trust_env=False)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass
    return False
