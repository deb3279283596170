"""What is told of errors: enough to find the fault, and nothing of anybody's data."""

import psycopg
import pytest

from projections import failure
from tests.support import postgres

SECRET = "payload-of-a-tenant"
REFUSED = 'new row for relation "t" violates check constraint "no" (23514, no)'


def refused(url: str, statement: str, *params: str) -> psycopg.Error:
    """What the database says to a statement."""
    with postgres.connect(url) as admin:
        admin.execute(
            "create temporary table t (a text constraint no check (a = ''), n int)"
        )
        with pytest.raises(psycopg.Error) as caught:
            admin.execute(statement.encode(), params)
    return caught.value


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "insert into t values (%s)",
            f"CheckViolation: {REFUSED}",
        ),
        (
            "insert into t values ('', %s)",
            "InvalidTextRepresentation: invalid input syntax for type integer: … (22P02)",
        ),
        (
            "select %s::jsonb",
            "InvalidTextRepresentation: invalid input syntax for type json (22P02)",
        ),
        ("select 1 / 0, %s", "DivisionByZero: division by zero (22012)"),
    ],
)
def test_a_database_error_without_the_values(
    database_url: str, statement: str, said: str
) -> None:
    error = refused(database_url, statement, SECRET)
    assert failure.text(error) == said
    assert SECRET not in failure.stack(error)


def test_a_statement_that_is_wrong_is_not_quoted(database_url: str) -> None:
    error = refused(database_url, f"select '{SECRET}' from nowhere")
    assert SECRET in str(error)
    shown = failure.stack(error)
    assert shown.endswith('UndefinedTable: relation "nowhere" does not exist (42P01)')
    assert SECRET not in shown


def test_a_database_that_is_away_says_why() -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect("postgresql://u:pa55@127.0.0.1:1/none")
    shown = failure.text(caught.value)
    assert "refused" in shown
    assert "pa55" not in shown


def test_what_led_to_it_comes_first(database_url: str) -> None:
    try:
        try:
            raise LookupError("the root")
        except LookupError as error:
            raise RuntimeError("the end") from error
    except RuntimeError as error:
        shown = failure.stack(error)
    assert shown.index("LookupError: the root") < shown.index("RuntimeError: the end")
    assert shown.count("test_failure.py") == 2


def test_what_was_set_aside_is_not_told() -> None:
    try:
        try:
            raise LookupError("the root")
        except LookupError:
            raise RuntimeError from None
    except RuntimeError as error:
        assert [type(link) for link in failure.chain(error)] == [RuntimeError]
        assert failure.text(error) == "RuntimeError"


def test_a_circle_has_an_end() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert failure.chain(first) == [second, first]
