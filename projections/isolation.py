"""The walls between tenants, proved from the database's own catalogue.

A migration by hand, a restored dump or a helpful administrator can take a wall down without
anything failing. So each process reads the catalogue before it serves, and says what is
open; whatever is not known here is open. A new table without tenants, a new function with
its owner's rights and a new table of the operator's are listed here with the migration.
"""

from collections.abc import Mapping

from projections.postgres import Connection
from projections.sql import Queries

QUERIES = Queries("projections", "isolation.sql")

ROLES = (
    "daybook_owner",
    "daybook_log",
    "daybook_app",
    "daybook_edge",
    "daybook_operator",
    "daybook_worker",
    "daybook_backup",
)
# What belongs to no tenant, and may be read by nobody but the platform. Each by name.
PLATFORM_TABLES = {
    "checkpoints",  # how far projections have come
    "log_incarnation",  # which log this is
    "owners",  # which workers live
    "rate_windows",  # how much has been asked for of what
    "rebuilds",  # of projections, asked for and done
    "tracking",  # how far the library's own readers have come
}
# Of these a tenant's requests are told.
TOLD = {"log_incarnation"}
# What the operator manages; everything else is tenants' data.
OPERATORS_TABLES = {
    "api_keys",
    "checkpoints",
    "log_incarnation",
    "projection_errors",
    "rebuilds",
    "tenants",
    "tickets",
}
# Functions that run with their owner's rights, and whose rights those are.
DEFINERS = {
    "authenticate": "daybook_operator",
    "claim_keys": "daybook_log",
    "drop_empty_partition": "daybook_owner",
    "keep_command": "daybook_log",
    "keep_key": "daybook_log",
    "live_generation": "daybook_operator",
    "log_append": "daybook_log",
    "log_append_kept": "daybook_log",
    "log_find": "daybook_log",
    "log_heads": "daybook_log",
    "log_lag": "daybook_log",
    "make_partitions": "daybook_owner",
    "poke_tenant": "daybook_worker",
    "posted_through": "daybook_operator",
    "take_quotas": "daybook_owner",
    "redeem_ticket": "daybook_operator",
}
# Those of them that a tenant's own requests may call: none shows another tenant's rows.
LENT = {
    "authenticate",  # asks for a key, and tells of its own tenant
    "keep_key",  # writes what it cannot read
    "live_generation",  # a number of the platform's
    "posted_through",  # a number of the platform's
    "redeem_ticket",  # asks for a ticket, and tells of its own tenant
}
# What is looked for, and what is wrong when something is found.
RULES: Mapping[str, str] = {
    "unwalled_tables": "no forced row-level security on",
    "open_policies": "policies that let a tenant's requests see or write others' rows",
    "unknown_tables": "tables that are neither tenants' nor known as the platform's",
    "told_too_much": "within reach of a role that has no business there",
    "changeable_log": "the log can be written by more than log_append",
    "passing_privileges": "privileges that go past row-level security on",
    "strong_roles": "roles that are missing or may do more than they should",
    "foreign_owners": "not owned by daybook_owner",
    "lending_views": "views that show more than who asks may see",
    "lending_functions": "functions that lend their owner's rights and are not as known",
    "makers": "roles that may make things in the schema",
    "preset_tenant": "connections begin as a tenant, by a default of the database's",
}


async def faults(connection: Connection) -> list[str]:
    """Each wall that is open, as a sentence; none when tenants are kept apart."""
    params = {
        "roles": list(ROLES),
        "platform": list(PLATFORM_TABLES),
        "told": list(TOLD),
        "operators": list(OPERATORS_TABLES),
        "definers": list(DEFINERS),
        "lenders": list(DEFINERS.values()),
        "lent": list(LENT),
    }
    found = []
    for rule, what in RULES.items():
        cursor = await connection.execute(QUERIES[rule], params)
        names = sorted(row.name for row in await cursor.fetchall())
        if names:
            found.append(f"{what}: {', '.join(names)}")
    return found
