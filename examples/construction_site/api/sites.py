"""Sites over HTTP: open, change, move on, remove; the board of all."""

from typing import Annotated

from litestar import delete, get, post, put
from litestar.params import FromPath
from msgspec import Meta, Struct

from api import answers, consistency
from api.answers import Answer
from api.operation import operation
from api.pagination import PageQuery
from api.request import ApiRequest
from api.shapes import AtLeast
from examples.construction_site.api.answering import (
    READ,
    WRITE,
    changed,
    drawn,
    identity,
    read,
    removed,
)
from examples.construction_site.domain.sites import commands
from examples.construction_site.domain.sites.site import Site, Status
from examples.construction_site.domain.words import Id, Line
from examples.construction_site.projections import site_board

PATH = "/api/v1/chantiers"
ONE = f"{PATH}/{{chantier_id:str}}"


class CreateSite(Struct, kw_only=True, forbid_unknown_fields=True):
    """A site to open."""

    nom: Line
    adresse: Line
    chantier_id: Annotated[
        Id | None, Meta(description="an id of your own; without it one is drawn")
    ] = None


class UpdateSite(Struct, forbid_unknown_fields=True):
    """What a site is called, and where it is."""

    nom: Line
    adresse: Line


class MoveSite(Struct, forbid_unknown_fields=True):
    """How far a site has come."""

    statut: Status


class ShownSite(Struct):
    """A site."""

    chantier_id: Id
    nom: str
    adresse: str
    statut: Status


class SiteLine(Struct):
    """A site on the board, with what goes on there. What is null is not known yet."""

    chantier_id: Id
    nom: str | None
    adresse: str | None
    statut: str | None
    affectations: int
    signalements_ouverts: int
    minutes_saisies: int
    minutes_validees: int


class SitePage(Struct):
    """A page of the board, by id."""

    data: list[SiteLine]
    next: str | None
    prev: str | None


class BoardQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which page, and up to where it must follow."""

    at_least: AtLeast = None


EXAMPLES = {
    "CreateSite": {"nom": "Villa Lumière", "adresse": "12 chemin des Vignes, Annecy"},
    "UpdateSite": {"nom": "Villa Lumière", "adresse": "14 chemin des Vignes, Annecy"},
    "MoveSite": {"statut": "en_cours"},
}


@post(
    PATH,
    **operation("Open a site", scopes=WRITE, body=CreateSite, answers={201: ShownSite}),
)
async def create_site(request: ApiRequest) -> Answer:
    """Records `chantier.created`."""
    sent = await request.read(CreateSite)
    chantier_id = drawn(request, sent.chantier_id)
    return await changed(
        request,
        lambda desk: commands.create(desk, chantier_id, sent.nom, sent.adresse),
        shown,
        status=201,
    )


@get(
    PATH,
    **operation(
        "The board of all sites",
        scopes=READ,
        query=BoardQuery,
        answers={200: SitePage},
    ),
)
async def list_sites(request: ApiRequest) -> Answer:
    """By id; with `at_least` it shows what a write did."""
    query = request.parameters(BoardQuery)
    paging = request.paging(query)
    await consistency.follow(request, "site_board", query.at_least)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await site_board.sites(
            connection,
            tenant_id,
            str(paging.key[0]) if paging.key else None,
            limit=paging.fetch,
            backwards=paging.backwards,
        )
    found = paging.page(rows, lambda row: [row.chantier_id])
    data = [SiteLine(*row) for row in found.rows]
    return answers.json(SitePage(data, found.next, found.prev))


@get(ONE, **operation("Read a site", scopes=READ, answers={200: ShownSite}))
async def get_site(request: ApiRequest, chantier_id: FromPath[str]) -> Answer:
    """As it is now."""
    found = await read(request, commands.load, identity(chantier_id))
    return answers.json(shown(found))


@put(
    ONE,
    **operation(
        "Change a site", scopes=WRITE, body=UpdateSite, answers={200: ShownSite}
    ),
)
async def update_site(request: ApiRequest, chantier_id: FromPath[str]) -> Answer:
    """Records `chantier.updated`, when anything differs."""
    sent, named = await request.read(UpdateSite), identity(chantier_id)
    return await changed(
        request,
        lambda desk: commands.update(desk, named, sent.nom, sent.adresse),
        shown,
    )


@post(
    f"{ONE}/statut",
    **operation(
        "Move a site on", scopes=WRITE, body=MoveSite, answers={200: ShownSite}
    ),
)
async def move_site(request: ApiRequest, chantier_id: FromPath[str]) -> Answer:
    """Records `chantier.statut_changed`; from each status only some may follow."""
    sent, named = await request.read(MoveSite), identity(chantier_id)
    return await changed(
        request, lambda desk: commands.move(desk, named, sent.statut), shown
    )


@delete(ONE, **operation("Remove a site", scopes=WRITE, answers={204: None}))
async def delete_site(request: ApiRequest, chantier_id: FromPath[str]) -> Answer:
    """Records `chantier.deleted`; not while somebody works there."""
    named = identity(chantier_id)
    return await removed(request, lambda desk: commands.delete(desk, named))


def shown(site: Site) -> ShownSite:
    """A site as it is shown."""
    return ShownSite(site.chantier_id, site.nom, site.adresse, site.statut)


HANDLERS = (create_site, list_sites, get_site, update_site, move_site, delete_site)
