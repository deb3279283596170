"""Every event of the construction site: of which aggregate it is, and what it tells."""

from examples.construction_site.domain.documents import folder
from examples.construction_site.domain.documents.folder import Folder
from examples.construction_site.domain.incidents import incident
from examples.construction_site.domain.incidents.incident import Incident
from examples.construction_site.domain.planning import plan
from examples.construction_site.domain.planning.plan import Plan
from examples.construction_site.domain.sites import site
from examples.construction_site.domain.sites.site import Site
from examples.construction_site.domain.timesheets import hours
from examples.construction_site.domain.timesheets.hours import Hours

AGGREGATES = (Site, Plan, Hours, Incident, Folder)
MEANINGS = {
    **site.MEANINGS,
    **plan.MEANINGS,
    **hours.MEANINGS,
    **incident.MEANINGS,
    **folder.MEANINGS,
}
