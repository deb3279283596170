"""The command line and the API: what is listed, and what is said when it is none."""

import http.server
import threading
from collections.abc import Iterator

import click
import pytest

from workers import client

ROW = {
    "id": "ten_01m7x86wzeb6dyw4ctp0npzb96",
    "name": "Northside Construction and Sons",
    "created_at": "2026-11-20T19:51:21.326927Z",
}


@pytest.mark.parametrize("terminal", ["", "1"])
def test_a_row_is_whole(
    terminal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", terminal)
    client.show([ROW], list(ROW))
    _, line = capsys.readouterr().out.splitlines()
    assert all(value in line for value in ROW.values())


class Stranger(http.server.BaseHTTPRequestHandler):
    """Some other server, on the port where Daybook was expected."""

    def do_GET(self) -> None:
        """Answer with a page."""
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"<p/>")


@pytest.fixture
def stranger() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_server_is_told_from_daybook(
    stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYBOOK_API_URL", stranger)
    monkeypatch.setenv("DAYBOOK_API_KEY", "dbk_x")
    with (
        client.connect() as api,
        pytest.raises(click.ClickException, match="does not answer as Daybook does"),
    ):
        api.call("GET", "/api/v1/me")


def test_what_no_header_can_carry_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DAYBOOK_API_KEY", "clé")
    with (
        pytest.raises(click.ClickException, match="DAYBOOK_API_KEY is no key"),
        client.connect(),
    ):
        pass
