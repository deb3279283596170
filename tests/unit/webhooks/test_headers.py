"""Headers of a tenant's own: which may be set, and what `***` means."""

import pytest

from domain.webhooks import headers


def places(sent: dict[str, str], *known: str) -> list[str]:
    return [fault.pointer for fault in headers.check(sent, frozenset(known))]


def test_what_may_be_set() -> None:
    fine = {
        "Authorization": "Bearer x y",
        "X-Env": "~",
        "X_1.!": "a\tb",
        "Cookie": "a=b",
    }
    assert places(fine) == []
    assert places({f"X-{n}": "v" for n in range(20)}) == []
    assert places({"X-Long": "v" * (4096 - 6)}) == []


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Content-Type",
        "content-encoding",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Upgrade",
        "Proxy-Authorization",
        "Expect",
        "User-Agent",
        "Accept-Encoding",
        "webhook-id",
        "Webhook-Signature",
        "Daybook-Anything",
        "ce-id",
        "traceparent",
        "",
        "a b",
        "a:b",
        "X-\r\nHost",
        "É",
        "x" * 129,
    ],
)
def test_names_that_may_not(name: str) -> None:
    assert places({name: "v"}) == [f"#/headers/{name[:128]}"]


@pytest.mark.parametrize("value", ["", " v", "v ", "a\r\nX: y", "a\0b", "é", "\x7f"])
def test_values_that_may_not(value: str) -> None:
    assert places({"X": value}) == ["#/headers/X"]


def test_too_much() -> None:
    assert places({f"X-{n}": "v" for n in range(21)}) == ["#/headers"]
    assert places({"X-Long": "v" * (4096 - 5)}) == ["#/headers"]


def test_names_have_no_case() -> None:
    assert places({"X-a": "1", "x-A": "2", "a/b": "~"}) == [
        "#/headers/x-A",
        "#/headers/a~1b",
    ]


def test_stars_mean_what_is_set() -> None:
    assert places({"X-a": "***"}) == ["#/headers/X-a"]
    assert places({"X-a": "***"}, "x-a") == []
    found = headers.resolve({"X-a": "***", "X-b": "new"}, {"x-A": "old", "x-c": "gone"})
    assert found == {"X-a": "old", "X-b": "new"}
