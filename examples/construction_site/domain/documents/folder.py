"""A folder of documents: each name has versions, and the log keeps what they were.

The bytes lie in an object store; here are their name, size and digest.
"""

from dataclasses import dataclass
from typing import Annotated

from eventsourcing.domain import event
from msgspec import Meta

from domain.catalog import Meaning
from domain.errors import NotFound
from domain.model import Ongoing
from examples.construction_site.domain.words import Id, Line

Size = Annotated[int, Meta(ge=0, description="bytes")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="SHA-256")]
Version = Annotated[int, Meta(ge=1)]

_KNOWN = {
    "dossier_id": "villa-lumiere",
    "document_id": "d-5",
    "nom": "plan-rdc.pdf",
    "version": 2,
}
MEANINGS = {
    "document.uploaded": Meaning(
        "A document, or another version of one, is in a folder",
        _KNOWN | {"taille": 182_044, "sha256": 64 * "a", "depose_par": "chef-a"},
    ),
    "document.deleted": Meaning("A document is no more, in that version", _KNOWN),
}


@dataclass
class Document:
    """One version of a document."""

    document_id: str
    nom: str
    version: int
    taille: int
    sha256: str
    depose_par: str
    is_deleted: bool = False


class Folder(Ongoing):
    """The documents of a folder; its stream is `dossiers/<id>`."""

    TOPIC = "construction_site/dossier"

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    @property
    def dossier_id(self) -> str:
        """Which folder it is."""
        return self.stream.partition("/")[2]

    def upload(
        self, document_id: str, nom: str, taille: int, sha256: str, by: str
    ) -> Document:
        """Put a document in, as the next version of its name; nothing if it is the same."""
        versions = [one for one in self.documents.values() if one.nom == nom]
        last = versions[-1] if versions else None
        if last is not None and last.sha256 == sha256 and not last.is_deleted:
            return last
        version = 1 if last is None else last.version + 1
        self._upload(self.dossier_id, document_id, nom, version, taille, sha256, by)
        return self.documents[document_id]

    @event("Uploaded", topic="document.uploaded")
    def _upload(
        self,
        dossier_id: Id,
        document_id: Id,
        nom: Line,
        version: Version,
        taille: Size,
        sha256: Digest,
        depose_par: Id,
    ) -> None:
        self.documents[document_id] = Document(
            document_id, nom, version, taille, sha256, depose_par
        )

    def delete(self, document_id: str) -> None:
        """Remove one version; its number is not given again. Raises NotFound."""
        found = self.documents.get(document_id)
        if found is None or found.is_deleted:
            raise NotFound
        self._delete(self.dossier_id, document_id, found.nom, found.version)

    @event("Deleted", topic="document.deleted")
    def _delete(
        self, dossier_id: Id, document_id: Id, nom: Line, version: Version
    ) -> None:
        self.documents[document_id].is_deleted = True

    def present(self) -> list[Document]:
        """Those that were not removed."""
        return [one for one in self.documents.values() if not one.is_deleted]
