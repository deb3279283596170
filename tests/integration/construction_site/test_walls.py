"""Every route of the construction site: who may call it, and for whom."""

import re
from collections.abc import Iterator

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler

from api import operation
from examples.construction_site.api import routes
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    open_account,
)

NAMES = re.compile(r"\{(\w+):str\}")
# What these show or begin is the caller's own, whatever the name: empty, or a new one.
OF_THE_CALLERS_OWN = {
    ("GET", "/api/v1/ouvriers/{ouvrier_id:str}/semaines"),
    ("GET", "/api/v1/chantiers/{chantier_id:str}/avis"),
    ("GET", "/api/v1/documents/{dossier_id:str}/documents"),
    ("POST", "/api/v1/documents/{dossier_id:str}/documents"),
}


def label(handler: HTTPRouteHandler) -> str:
    return handler.fn.__name__


def called(
    client: httpx.Client, handler: HTTPRouteHandler, names: dict[str, str]
) -> httpx.Response:
    """The answer to its example, or to no body where it takes none."""
    [path], [method] = handler.paths, handler.http_methods
    one = operation.of(handler)
    assert one
    body = None if one.body is None else routes.EXAMPLES[one.body.__name__]
    path = NAMES.sub(lambda match: names[match[1]], path)
    return client.request(str(method), path, json=body)


@pytest.fixture(scope="module")
def theirs(account: Account) -> dict[str, str]:
    """One of each that a path can name, of the first tenant."""

    def made(path: str, body: dict[str, object]) -> dict[str, str]:
        answer = account.client.post(f"/api/v1{path}", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, str] = answer.json()
        return found

    examples = routes.EXAMPLES
    site = made("/chantiers", examples["CreateSite"])["chantier_id"]
    there = {"chantier_id": site}
    worker = {"ouvrier_id": site}
    folder = f"/documents/{site}/documents"
    return {
        "chantier_id": site,
        "ouvrier_id": site,
        "dossier_id": site,
        "affectation_id": made(
            "/planning/affectations", examples["CreateAssignment"] | there | worker
        )["affectation_id"],
        "heures_id": made("/pointages", examples["BookHours"] | there)["heures_id"],
        "signalement_id": made("/signalements", examples["ReportIncident"] | there)[
            "signalement_id"
        ],
        "document_id": made(folder, examples["UploadDocument"])["document_id"],
    }


@pytest.fixture
def other(server: Server) -> Iterator[Account]:
    with server.client(OPERATOR_KEY) as operator:
        opened = open_account(server, operator, "other")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def outsider(account: Account) -> httpx.Client:
    """The same tenant's key, for something else."""
    return account.with_scopes("webhooks:read")


@pytest.mark.parametrize("handler", routes.HANDLERS, ids=label)
def test_anothers_is_nobodys(
    handler: HTTPRouteHandler, theirs: dict[str, str], other: Account
) -> None:
    [path], [method] = handler.paths, handler.http_methods
    answer = called(other.client, handler, theirs)
    if NAMES.search(path) and (method, path) not in OF_THE_CALLERS_OWN:
        assert answer.status_code == 404, answer.text
    elif method == "GET":
        assert answer.json()["data"] == []


@pytest.mark.parametrize("handler", routes.HANDLERS, ids=label)
def test_a_key_without_the_scope_may_not(
    handler: HTTPRouteHandler, theirs: dict[str, str], outsider: httpx.Client
) -> None:
    assert called(outsider, handler, theirs).status_code == 403


@pytest.mark.parametrize("handler", routes.HANDLERS, ids=label)
def test_nobody_may_without_a_key(
    handler: HTTPRouteHandler, theirs: dict[str, str], server: Server
) -> None:
    with server.client(None) as stranger:
        assert called(stranger, handler, theirs).status_code == 401
