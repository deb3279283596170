"""What can be done to folders; one begins with its first document."""

from examples.construction_site.domain.books import Desk
from examples.construction_site.domain.documents.folder import Document, Folder


def upload(
    desk: Desk,
    dossier_id: str,
    document_id: str,
    nom: str,
    taille: int,
    sha256: str,
    by: str,
) -> Document:
    """Put a document into a folder, as its next version."""
    found = load(desk, dossier_id)
    document = found.upload(document_id, nom, taille, sha256, by)
    desk.record(found)
    return document


def delete(desk: Desk, dossier_id: str, document_id: str) -> None:
    """Remove one version of a document. Raises NotFound."""
    found = load(desk, dossier_id)
    found.delete(document_id)
    desk.record(found)


def load(desk: Desk, dossier_id: str) -> Folder:
    """The folder as it is now; one that never had a document is empty."""
    return desk.load_or_blank(Folder, f"dossiers/{dossier_id}")
