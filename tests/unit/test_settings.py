"""Settings are read from variables, or from the files that these name."""

from pathlib import Path

import pytest
from msgspec import Struct

from api import app
from api.settings import ApiSettings
from projections import settings
from projections.settings import DatabaseSettings, SettingsError
from workers.settings import LogSettings, WorkerSettings

GIVEN = {
    "DAYBOOK_DATABASE_URL": "postgresql://db/daybook",
    "DAYBOOK_SECRET_KEYS": "k1:",
}
KEY = "an-operator-key-of-some-length"


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "operator_key"
    file.write_text(f"{KEY}\n")
    environ = GIVEN | {"DAYBOOK_OPERATOR_KEY_FILE": str(file)}
    assert settings.read(ApiSettings, environ).operator_key == KEY


def test_one_of_them_counts(tmp_path: Path) -> None:
    environ = GIVEN | {
        "DAYBOOK_OPERATOR_KEY": KEY,
        "DAYBOOK_OPERATOR_KEY_FILE": str(tmp_path / "x"),
    }
    with pytest.raises(SettingsError, match="DAYBOOK_OPERATOR_KEY and DAYBOOK"):
        settings.read(ApiSettings, environ)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", b"short"])
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "operator_key"
    if content is not None:
        file.write_bytes(content)
    environ = GIVEN | {"DAYBOOK_OPERATOR_KEY_FILE": str(file)}
    with pytest.raises(SettingsError, match=r"DAYBOOK_(\*|OPERATOR_KEY)"):
        settings.read(ApiSettings, environ)


@pytest.mark.parametrize(
    "kind", [ApiSettings, WorkerSettings, LogSettings, DatabaseSettings]
)
def test_each_process_starts_with_what_is_required(kind: type[Struct]) -> None:
    assert settings.read(kind, GIVEN | {"DAYBOOK_OPERATOR_KEY": KEY})


@pytest.mark.parametrize(
    ("proxy", "is_one"),
    [
        ("http://proxy:3128", True),
        ("http://user:password@10.0.0.1:3128/", True),
        ("https://proxy:3128", False),
        ("proxy:3128", False),
    ],
)
def test_an_egress_proxy_is_named_with_its_port(proxy: str, is_one: bool) -> None:
    environ = GIVEN | {"DAYBOOK_EGRESS_PROXY": proxy}
    if is_one:
        assert settings.read(WorkerSettings, environ).egress_proxy == proxy
    else:
        with pytest.raises(SettingsError):
            settings.read(WorkerSettings, environ)


WORKERS = [
    ("egress_proxy", "http://user:p%40ss@proxy.inside:4750"),
    ("egress_proxy", "http://[fd00::1]:4750/"),
    ("webhook_ports", "8443"),
    ("webhook_ports", "8443,9443"),
]
WRONG = [
    ("egress_proxy", "proxy:4750"),
    ("egress_proxy", "https://proxy:4750"),
    ("webhook_ports", "8443,"),
    ("webhook_ports", "https"),
]


@pytest.mark.parametrize(("name", "value"), WORKERS)
def test_what_a_worker_may_be_told(name: str, value: str) -> None:
    read = settings.read(WorkerSettings, GIVEN | {settings.variable(name): value})
    assert getattr(read, name) == value


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_a_worker_may_not_be_told(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{settings.variable(name)} is wrong"):
        settings.read(WorkerSettings, GIVEN | {settings.variable(name): value})


@pytest.mark.parametrize("url", ["hunter2", "postgresql://u:hunter2@db:port:1/x y"])
def test_what_is_no_address_of_a_database_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="DAYBOOK_DATABASE_URL is no") as caught:
        settings.read(DatabaseSettings, {"DAYBOOK_DATABASE_URL": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("keys", ["k1", "k1:AAAA", ","])
def test_the_api_is_not_made_with_keys_that_are_none(
    keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before it starts: what a server finds while it starts is a trace in a log."""
    environ = GIVEN | {"DAYBOOK_OPERATOR_KEY": KEY, "DAYBOOK_SECRET_KEYS": keys}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="DAYBOOK_SECRET_KEYS: each key is"):
        app.create()
