"""What a database is, in lines of text that can be compared: tables, rights, functions."""

import psycopg

# Each describes one kind of thing in the schemas that are ours, one line each.
QUERIES = {
    "schemas": """
        select nspname, nspowner::regrole, acl(nspacl) from pg_namespace
        where nspname = 'daybook'""",
    "relations": """
        select relkind, oid::regclass, relowner::regrole, relrowsecurity,
            relforcerowsecurity, reloptions, acl(relacl), pg_get_partkeydef(oid),
            pg_get_expr(relpartbound, oid)
        from pg_class where ours(relnamespace)""",
    "columns": """
        select attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod),
            attnotnull, attidentity, pg_get_expr(adbin, adrelid), acl(attacl)
        from pg_attribute
        join pg_class on pg_class.oid = attrelid and relkind in ('r', 'p')
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where ours(relnamespace) and attnum > 0 and not attisdropped""",
    "constraints": """
        select conrelid::regclass, conname, pg_get_constraintdef(oid)
        from pg_constraint where ours(connamespace)""",
    "indexes": """
        select pg_get_indexdef(indexrelid) from pg_index
        join pg_class on pg_class.oid = indrelid where ours(relnamespace)""",
    "views": """
        select oid::regclass, pg_get_viewdef(oid) from pg_class
        where ours(relnamespace) and relkind in ('v', 'm')""",
    "triggers": """
        select pg_get_triggerdef(pg_trigger.oid) from pg_trigger
        join pg_class on pg_class.oid = tgrelid
        where ours(relnamespace) and not tgisinternal""",
    "policies": """
        select tablename, policyname, permissive, roles, cmd, qual, with_check
        from pg_policies where schemaname = 'daybook'""",
    "functions": """
        select pg_get_functiondef(oid), proowner::regrole, acl(proacl)
        from pg_proc where ours(pronamespace)""",
    "checkpoints": "select name, log_position from daybook.checkpoints",
}
HELPERS = """
    create function pg_temp.ours(oid) returns boolean language sql as $$
        select $1 in (select oid from pg_namespace where nspname in ('daybook', 'public'))
    $$;
    create function pg_temp.acl(aclitem[]) returns text language sql as $$
        select string_agg(a::text, ' ' order by a::text) from unnest($1) as a
    $$"""


def describe(connection: psycopg.Connection) -> list[str]:
    """Every thing the database has, sorted; equal for equal databases."""
    connection.execute(HELPERS)
    connection.execute("set search_path = ''")
    lines = []
    for kind, query in QUERIES.items():
        ours = query.replace("ours(", "pg_temp.ours(").replace("acl(", "pg_temp.acl(")
        rows = connection.execute(ours).fetchall()
        lines += [f"{kind}: {' | '.join(map(str, row))}" for row in rows]
    return sorted(lines)
