"""Names and sizes: what a file is called says what it is, and it fits in one's head."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from tests.support.source import LAYERS, ROOT, modules

LONGEST_FUNCTION = 40
LONGEST_FILE = 400
# Programs that a test copies elsewhere and runs there.
PROGRAMS = {ROOT / "tests" / "support" / "clients"}
# They say nothing about what is in them.
EMPTY_WORDS = {"utils", "util", "helpers", "common", "misc", "manager", "base", "core"}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_the_folder_in_this_repository(layer: str) -> None:
    """Generic names: a test folder or another package could stand in front of it."""
    found = importlib.util.find_spec(layer)
    assert found and found.origin == str(ROOT / layer / "__init__.py")


def test_no_module_is_called_like_one_of_the_standard_library() -> None:
    twins = {
        str(module)
        for module in modules()
        if module.name.rpartition(".")[2] in sys.stdlib_module_names
    }
    assert twins == set()


def test_names_say_something() -> None:
    empty = [
        str(module) for module in modules() if EMPTY_WORDS & set(module.name.split("."))
    ]
    assert empty == []


def test_no_test_folder_is_called_like_a_layer() -> None:
    """It could be imported in its place."""
    twins = [
        str(folder)
        for layer in LAYERS
        for folder in (ROOT / "tests").rglob(layer)
        if folder.is_dir()
    ]
    assert twins == []


def test_every_folder_of_modules_is_a_package() -> None:
    loose = {
        path.parent
        for top in (*LAYERS, "tests")
        for path in (ROOT / top).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert loose == PROGRAMS


def _documented() -> list[Path]:
    folders = (*LAYERS, "tests", "benchmarks", "examples", "sdk")
    files = [path for top in folders for path in (ROOT / top).rglob("*.py")]
    return [*files, *ROOT.glob("*.py")]


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in _documented()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_functions_are_short() -> None:
    long = [
        f"{module}:{function.lineno} {function.name}"
        for module in modules()
        for function in module.functions()
        if (function.end_lineno or 0) - function.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


def test_files_are_short() -> None:
    long = [
        str(module)
        for module in modules()
        if len(module.path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    ]
    assert long == []
