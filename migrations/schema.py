"""Writes `schema.sql`, the whole schema in one file for people to read.

    python -m migrations.schema

While migrations only add, the schema is the migrations one after another, and this is how
the file is made. The first one that changes what an earlier one made is folded in by hand
instead: read as if written today. Either way a test builds one database from `schema.sql`
and one from the migrations, and compares their catalogues.
"""

import sys
from pathlib import Path

from migrations.runner import _TABLE, files

PATH = Path(__file__).with_name("schema.sql")
_HEADING = """\
-- The whole schema as it stands, for reading. Databases are made from the numbered files,
-- by `daybook migrate`; a test holds the two together. See schema.py for how this one is
-- written.

-- Which of the numbered files a database has.
"""


def text() -> str:
    """The file's text: each migration, in its own transaction as when it is applied."""
    table = "\n".join(line.removeprefix("    ") for line in _TABLE.strip().splitlines())
    parts = [f"{_HEADING}{table};\n"]
    for migration in files():
        title = f"-- {migration.version} {migration.name} "
        body = migration.sql.strip()
        parts.append(f"\n\n{title:-<90}\n\nbegin;\n\n{body}\n\ncommit;\n")
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{PATH.name} is written\n")
