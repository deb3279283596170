"""Settings as values: what each is, its unit and its default, read from `DAYBOOK_*`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import psycopg
from msgspec import Meta, Struct
from psycopg.conninfo import conninfo_to_dict

PREFIX = "DAYBOOK_"
S = TypeVar("S", bound=Struct)


class SettingsError(RuntimeError):
    """A setting is missing or makes no sense; the message names the variable."""


class DatabaseSettings(Struct, frozen=True, kw_only=True):
    """Where the log is."""

    database_url: Annotated[
        str,
        Meta(description="Postgres 15 to 18, as a URL: postgresql://user@host/name"),
    ]
    contexts: Annotated[
        str | None,
        Meta(
            description="bounded contexts of your own, as module:attribute, comma "
            "separated; the same for every process"
        ),
    ] = None

    def __post_init__(self) -> None:
        # Told here, and without its value: there is a password in it.
        try:
            conninfo_to_dict(self.database_url)
        except psycopg.Error:
            raise ValueError(
                "DAYBOOK_DATABASE_URL is no address of a database"
            ) from None


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    """A `kind` from the variables named after its fields; raises SettingsError.

    An empty variable counts as absent, as compose files leave them.
    """
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = text(variable(field.name), environ)
        if value:
            given[field.name] = value
        elif field.required:
            raise SettingsError(f"{variable(field.name)} is not set: {_about(field)}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_wrong(str(error))) from error


def text(name: str, environ: Mapping[str, str]) -> str:
    """A variable, or what stands in the file that `<name>_FILE` names; "" for neither.

    A secret in a file is seen by fewer: variables are inherited, and shown by `ps` and
    `docker inspect`. Raises SettingsError.
    """
    value, path = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if value and path:
        raise SettingsError(f"{name} and {name}_FILE are both set: which one counts?")
    try:
        return Path(path).read_text("utf-8").strip() if path else value
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{name}_FILE cannot be read: {error}") from error


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def _wrong(message: str) -> str:
    """msgspec's words, which end with the field's name, or with none."""
    what, _, field = message.partition(" - at `$.")
    if field:
        return f"{variable(field.rstrip('`'))} is wrong: {what}"
    if what.startswith(PREFIX):
        return what
    return f"a {PREFIX}* variable is wrong: {what}"


def _about(field: msgspec.structs.FieldInfo) -> str:
    for part in getattr(field.type, "__metadata__", ()):
        if isinstance(part, Meta) and part.description:
            return part.description
    return "it has no default"
