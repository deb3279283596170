"""All routes of the construction site, and an example of each shape that is sent."""

from examples.construction_site.api import (
    documents,
    incidents,
    notices,
    planning,
    sites,
    timesheets,
)

_MODULES = (sites, planning, timesheets, incidents, documents, notices)

HANDLERS = tuple(handler for module in _MODULES for handler in module.HANDLERS)
EXAMPLES = {
    shape: example for module in _MODULES for shape, example in module.EXAMPLES.items()
}
