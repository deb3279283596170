"""Applications use the open doors of the product, and it knows none of them."""

import re
import subprocess
import sys

import pytest

from examples.construction_site.domain import catalog
from tests.architecture.test_names import LONGEST_FILE, LONGEST_FUNCTION
from tests.architecture.test_sql import SQL, statements
from tests.support.source import LAYERS, ROOT, Module, modules

OWN = "construction_site"
SITE = [Module(path) for path in sorted((ROOT / "examples" / OWN).rglob("*.py"))]
PROGRAMS = [module for module in SITE if module.path.parent.name == "integrations"]
DOORS = {
    name
    for row in re.findall(
        r"^\| (`[a-z_.`, ]+`) \| ",
        (ROOT / "docs" / "adding.md").read_text("utf-8"),
        re.MULTILINE,
    )
    for name in re.findall(r"`([a-z_.]+)`", row)
}
KNOWN_LAYERS = ("domain", "projections", "workers", "api")


def test_an_example_imports_what_the_documentation_names() -> None:
    assert len(DOORS) > 15
    wrong = [
        f"{module}: {name}"
        for module in SITE
        if module not in PROGRAMS
        for name in sorted(module.imports)
        if not is_open(name)
    ]
    assert wrong == []


def is_open(name: str) -> bool:
    """Whether it is the example's own, the standard library's, or a door or in one."""
    is_own = name.startswith(f"examples.{OWN}.")
    is_door = any(name == door or name.startswith(f"{door}.") for door in DOORS)
    return is_own or is_door or name.partition(".")[0] in sys.stdlib_module_names


def test_programs_beside_it_know_its_http_api_only() -> None:
    assert len(PROGRAMS) > 2
    wrong = [
        f"{module}: {name}"
        for module in PROGRAMS
        for name in sorted(module.imports)
        if name.partition(".")[0] in {*LAYERS, "examples"}
    ]
    assert wrong == []


def test_the_product_names_no_example() -> None:
    """Nor has it one of its event types; a pattern in a docstring may be."""
    words = re.compile("|".join(map(re.escape, (OWN, *catalog.MEANINGS))))
    texts = {
        f"{module}:{node.lineno}": str(node.value)
        for module in modules(*KNOWN_LAYERS)
        if words.search(module.path.read_text("utf-8"))  # else it need not be parsed
        for node in module.strings()
    } | {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for layer in KNOWN_LAYERS
        for path in (ROOT / layer).rglob("*.sql")
    }
    assert [place for place, text in texts.items() if words.search(text)] == []
    wrong = [
        f"{module}: {name}"
        for module in modules(*LAYERS)
        if "examples" in module.path.read_text("utf-8")
        for name in module.imports
        if name.startswith("examples")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "name", ["projections.registry", "api.app", "domain.catalogue"]
)
def test_a_closed_door_is_seen(name: str) -> None:
    assert not is_open(f"{name}.x")


# In the same style.


def test_functions_and_files_are_short() -> None:
    long = [
        f"{module}:{function.lineno} {function.name}"
        for module in SITE
        for function in module.functions()
        if (function.end_lineno or 0) - function.lineno + 1 > LONGEST_FUNCTION
    ]
    long += [
        str(module)
        for module in SITE
        if len(module.path.read_text("utf-8").splitlines()) > LONGEST_FILE
    ]
    assert long == []


def test_every_statement_is_explained_and_used() -> None:
    texts = {str(node.value) for module in SITE for node in module.strings()}
    found = [
        (name, body)
        for path in (ROOT / "examples" / OWN / "projections").glob("*.sql")
        for name, body in statements(path)
    ]
    assert len(found) > 10
    assert [name for name, body in found if not body.startswith("-- ")] == []
    assert [name for name, _ in found if name not in texts] == []


def test_there_is_no_sql_in_its_python() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in SITE
        if module not in PROGRAMS
        for node in module.strings()
        if SQL.match(str(node.value))
    ]
    assert found == []


def test_its_modules_leave_each_other_alone() -> None:
    """Each may ask whether a site is open; nothing else is between them."""
    names = {
        path.parent.name for path in (ROOT / "examples" / OWN).glob("domain/*/*.py")
    }
    assert len(names) == 5
    wrong = [
        f"{module}: {name}"
        for module in SITE
        if (own := module.path.parent.name) in names
        for name in sorted(module.imports)
        if _slice(name) in names - {own, "sites"}
    ]
    assert wrong == []


def _slice(name: str) -> str | None:
    """Of which module of the domain an imported name is."""
    parts = name.removeprefix(f"examples.{OWN}.domain.").split(".")
    return parts[0] if name.startswith(f"examples.{OWN}.domain.") else None


def test_a_worker_that_has_a_context_loads_no_http_api() -> None:
    """Routes are named by text, so only who serves them imports them."""
    program = (
        f"import sys, examples.{OWN}.context;"
        "print(*sorted({'api', 'litestar'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == ""
