"""What every response carries, and what every refusal looks like, Litestar's too."""

import re
from typing import Any

import httpx
import pytest

from api.problems import PROBLEMS
from tests.integration.http_api.conftest import Account

SECURITY = {
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "X-Frame-Options",
    "Permissions-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
}
PAGES = ["/docs", "/openapi.json", "/health/live", "/nowhere", "/api/v1/events", "/"]


@pytest.mark.parametrize("path", PAGES)
def test_every_response_has_the_headers(stranger: httpx.Client, path: str) -> None:
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        response = stranger.request(method, path)
        assert set(map(str.lower, SECURITY)) <= set(response.headers.keys())
        assert response.headers["X-Request-ID"].startswith("req_")
        no_store = response.headers.get("Cache-Control") == "no-store"
        assert no_store == path.startswith("/api")


@pytest.mark.parametrize("sent", ["abc", "A-1_b", "x" * 64])
def test_a_callers_request_id_comes_back(stranger: httpx.Client, sent: str) -> None:
    response = stranger.get("/nowhere", headers={"X-Request-ID": sent})
    assert response.headers["X-Request-ID"] == sent
    assert response.json()["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a.b", "<script>"])
def test_another_request_id_does_not(stranger: httpx.Client, sent: str) -> None:
    response = stranger.get("/nowhere", headers={"X-Request-ID": sent})
    assert response.headers["X-Request-ID"] == response.json()["request_id"]
    assert response.json()["request_id"].startswith("req_")


def test_the_shape_of_a_problem(stranger: httpx.Client) -> None:
    response = stranger.get("/api/v1/nowhere")
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem == {
        "type": "/problems/not_found",
        "title": PROBLEMS["not_found"].title,
        "status": 404,
        "code": "not_found",
        "detail": "there is nothing under this path",
        "instance": "/api/v1/nowhere",
        "request_id": response.headers["X-Request-ID"],
        "errors": [],
    }


REFUSED: list[tuple[str, str, int, str]] = [
    ("GET", "/nowhere", 404, "not_found"),
    ("GET", "/api/v1", 404, "not_found"),
    ("GET", "/problems/nothing", 404, "not_found"),
    ("POST", "/api/v1/me", 405, "method_not_allowed"),
    ("DELETE", "/api/v1/events", 405, "method_not_allowed"),
    ("PUT", "/health/live", 405, "method_not_allowed"),
    ("TRACE", "/docs", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), REFUSED)
def test_what_litestar_refuses_is_a_problem(
    account: Account, method: str, path: str, status: int, code: str
) -> None:
    response = account.client.request(method, path)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)
    if status == 405:
        assert response.headers["Allow"]


def test_get_routes_answer_head(account: Account) -> None:
    account.publish()
    for path in ("/api/v1/events", "/docs", "/health/live", "/api/v1/me"):
        body = account.client.get(path)
        head = account.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == body.headers["Content-Length"]
    assert account.client.head("/api/v1/events/absent-id").status_code == 404
    allowed = account.client.delete("/api/v1/events").headers["Allow"]
    assert {"GET", "HEAD", "POST"} <= set(allowed.split(", "))


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_code_has_a_page(stranger: httpx.Client, code: str) -> None:
    response = stranger.get(f"/problems/{code}")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<code>{code}</code>" in response.text


def test_the_docs_need_nothing_from_elsewhere(stranger: httpx.Client) -> None:
    page = stranger.get("/docs").text
    assert not re.search(r'(?:src|href)="(?!/|#)|<script|url\(', page)
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r'id="([^"]+)"', page))
    assert "POST</span> <code>/api/v1/events</code>" in page
    style = stranger.get("/docs/docs.css")
    assert style.headers["Content-Type"].startswith("text/css")
    assert stranger.get("/").headers["Location"] == "/docs"


def test_ours_are_the_only_servers_words(stranger: httpx.Client) -> None:
    """A path is shown back as JSON, never as HTML."""
    answer: Any = stranger.get("/<script>alert(1)</script>")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/events", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/webhook-events/a", "GET, HEAD, OPTIONS, PUT"),
        ("/api/v1/cloudevents", "OPTIONS, POST"),
        ("/api/v1/webhooks/match", "OPTIONS, POST"),
    ],
)
def test_options_are_all_methods_of_the_path(
    stranger: httpx.Client, path: str, methods: str
) -> None:
    response = stranger.options(path)
    assert (response.status_code, response.headers["Allow"]) == (204, methods)
    refused = stranger.request("TRACE", path)
    assert set(refused.headers["Allow"].split(", ")) == set(methods.split(", "))
