"""Who works where: names that are nobody's, of people who come again every week."""

from typing import NamedTuple


class Place(NamedTuple):
    """A site, and who leads it."""

    chantier_id: str
    nom: str
    adresse: str
    chef: str


SITES = (
    Place(
        "villa-lumiere", "Villa Lumière", "12 chemin des Vignes, Annecy", "chef-abel"
    ),
    Place(
        "halle-nord", "Halle Nord", "3 rue de l'Industrie, Cran-Gevrier", "chef-berthe"
    ),
    Place(
        "ecole-jaures", "École Jean Jaurès", "41 avenue de Genève, Annecy", "chef-cyr"
    ),
)
_FIRST = (
    "Adama", "Bastien", "Chloe", "Dario", "Elise", "Farid", "Gaelle", "Hugo", "Ines",
    "Jonas", "Karim", "Lea", "Mateo", "Nadia", "Oscar", "Paula", "Quentin", "Rosa",
    "Samir", "Tess",
)  # fmt: skip
# Forty: each name twice, with another letter.
WORKERS = tuple(f"{name.lower()}-{letter}" for letter in "bm" for name in _FIRST)

INCIDENTS = (
    ("Échafaudage instable", "It moves in the wind; nobody goes up."),
    ("Garde-corps manquant", "On the second floor, to the north."),
    ("Fuite d'eau", "Under the slab, near the pump."),
    ("Livraison en retard", "The beams come tomorrow, they say."),
    ("Extincteur vide", "The one at the entrance."),
    ("Outil défectueux", "The big drill smells of smoke."),
    ("Câble dénudé", "At the distribution box; it is switched off."),
)
RESOLUTIONS = ("It is put right.", "It was replaced.", "The supplier has come.")
DOCUMENTS = (
    "plan-rdc.pdf",
    "plan-etage.pdf",
    "compte-rendu.pdf",
    "devis.pdf",
    "photo.jpg",
)
