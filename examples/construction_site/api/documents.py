"""Documents over HTTP: put one into a folder, see what is there, remove one."""

from litestar import delete, get, post
from litestar.params import FromPath
from msgspec import Struct

from api import answers
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from examples.construction_site.api.answering import (
    READ,
    WRITE,
    changed,
    identity,
    read,
    removed,
)
from examples.construction_site.domain.documents import commands
from examples.construction_site.domain.documents.folder import Digest, Document, Size
from examples.construction_site.domain.words import Id, Line

PATH = "/api/v1/documents/{dossier_id:str}/documents"
ONE = f"{PATH}/{{document_id:str}}"


class UploadDocument(Struct, forbid_unknown_fields=True):
    """What a document is; its bytes lie in the store. `par`: who puts it there."""

    nom: Line
    taille: Size
    sha256: Digest
    par: Id


class ShownDocument(Struct):
    """A document in one of its versions."""

    document_id: Id
    nom: str
    version: int
    taille: int
    sha256: str
    depose_par: Id


class ShownFolder(Struct):
    """The documents of a folder, all versions that were not removed, the oldest first."""

    dossier_id: Id
    data: list[ShownDocument]


EXAMPLES = {
    "UploadDocument": {
        "nom": "plan-rdc.pdf",
        "taille": 182_044,
        "sha256": 64 * "a",
        "par": "chef-a",
    }
}


@post(
    PATH,
    **operation(
        "Put a document into a folder",
        scopes=WRITE,
        body=UploadDocument,
        answers={201: ShownDocument},
    ),
)
async def upload_document(request: ApiRequest, dossier_id: FromPath[str]) -> Answer:
    """Records `document.uploaded`; the same bytes under the same name change nothing."""
    sent, folder = await request.read(UploadDocument), identity(dossier_id)
    document_id = str(request.new_id())
    return await changed(
        request,
        lambda desk: commands.upload(
            desk, folder, document_id, sent.nom, sent.taille, sent.sha256, sent.par
        ),
        shown,
        status=201,
    )


@get(PATH, **operation("Read a folder", scopes=READ, answers={200: ShownFolder}))
async def get_folder(request: ApiRequest, dossier_id: FromPath[str]) -> Answer:
    """As it is now; one that never had a document is empty."""
    found = await read(request, commands.load, identity(dossier_id))
    documents = [shown(one) for one in found.present()]
    return answers.json(ShownFolder(found.dossier_id, documents))


@delete(ONE, **operation("Remove a document", scopes=WRITE, answers={204: None}))
async def delete_document(
    request: ApiRequest, dossier_id: FromPath[str], document_id: FromPath[str]
) -> Answer:
    """Records `document.deleted`: one version of it is no more."""
    folder, named = identity(dossier_id), identity(document_id)
    return await removed(request, lambda desk: commands.delete(desk, folder, named))


def shown(document: Document) -> ShownDocument:
    """A document as it is shown."""
    return ShownDocument(
        document.document_id,
        document.nom,
        document.version,
        document.taille,
        document.sha256,
        document.depose_par,
    )


HANDLERS = (upload_document, get_folder, delete_document)
