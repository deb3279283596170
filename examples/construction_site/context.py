"""All that the construction site adds, in one value."""

from examples.construction_site.domain import catalog
from examples.construction_site.projections import notices
from examples.construction_site.projections.site_board import SiteBoard
from examples.construction_site.projections.weekly_hours import WeeklyHours
from projections.context import BoundedContext

CONTEXT = BoundedContext(
    name="construction_site",
    aggregates=catalog.AGGREGATES,
    meanings=catalog.MEANINGS,
    streams=("chantiers/", "planning/", "pointages/", "signalements/", "dossiers/"),
    read_models=(SiteBoard(), WeeklyHours()),
    projections=notices.HANDLERS,
    migrations="examples.construction_site.migrations",
    routes="examples.construction_site.api.routes",
)
