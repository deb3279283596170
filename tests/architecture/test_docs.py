"""The documentation's examples: each is of its language, each command is one of ours.

The acceptance tests run them; here they are read.
"""

import importlib.util
import json
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from tests.support.documents import Block, blocks, commands, documents, links
from tests.support.source import ROOT
from workers import cli

# What a reader's machine has.
TOOLS = {
    "cd", "curl", "date", "docker", "eval", "export", "git", "jq", "kill", "od", "openssl",
    "pip", "printf", "psql", "tr",
}  # fmt: skip
# start.py's own words, and where it finds what they name. The rest goes to `daybook`.
START = {"test": None, "bench": ROOT / "benchmarks", "soak": ROOT / "tests" / "soak"}


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_toml(block: Block) -> None:
    tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    yaml.safe_load(block.text)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_python(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_commands_are_known(block: Block) -> None:
    wrong = [fault for words in commands(block.text) if (fault := fault_in(words))]
    assert wrong == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_every_block_says_its_language(path: Path) -> None:
    silent = [str(block) for block in blocks("") if block.path == path]
    assert silent == []


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    lost = [target for target in links(path) if not (path.parent / target).exists()]
    assert lost == []


def fault_in(words: list[str]) -> str | None:
    """What is wrong with a command; None when it can be typed as it stands."""
    first, *rest = words
    if first in ("python3", "python"):
        return fault_in_python(rest)
    if first == "daybook":
        return fault_in_daybook(rest)
    return None if first in TOOLS else f"{first}: not a command that readers have"


def fault_in_python(words: list[str]) -> str | None:
    match words:
        case ["start.py", *rest]:
            return fault_in_start(rest or ["dev"])
        case ["-m", module, *_]:
            found = importlib.util.find_spec(module)
            return None if found else f"python3 -m {module}: there is no such module"
        case [script, *_] if (ROOT / script).exists():
            return None
    return f"python3 {' '.join(words)}: there is no such file"


def fault_in_start(words: list[str]) -> str | None:
    first, *rest = words
    if first not in START:
        return fault_in_daybook(words)
    folder = START[first]
    if folder and not (rest and (folder / f"{rest[0]}.py").exists()):
        return f"start.py {' '.join(words)}: there is no such file in {folder.name}"
    return None


def fault_in_daybook(words: list[str]) -> str | None:
    """Whether such a command exists, and takes such options."""
    command: click.Command = cli.main
    for word in words:
        if word.startswith("-"):
            if not _takes(command, word.partition("=")[0]):
                return f"daybook {' '.join(words)}: no option {word}"
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return f"daybook {' '.join(words)}: no command {word}"
            command = command.commands[word]
    return None


def _takes(command: click.Command, option: str) -> bool:
    context = click.Context(command)
    return any(option in parameter.opts for parameter in command.get_params(context))


# The reader of shell blocks, which the above relies on.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("curl -d '{\n \"a\": 1\n}' URL", [["curl", "-d", '{\n "a": 1\n}', "URL"]]),
        ("a b | c > file && d", [["a", "b"], ["c"], ["d"]]),
        ("# a comment\na # and one\nb\n", [["a"], ["b"]]),
        ("curl \\\n  URL#part", [["curl", "URL#part"]]),
        ("A=1 B=2 run", [["run"]]),
        ('eval "$(daybook env)"', [["eval", "$(daybook env)"], ["daybook", "env"]]),
    ],
)
def test_shell_is_read_as_commands(text: str, expected: list[list[str]]) -> None:
    assert commands(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "python3 start.py inveent",
        "daybook dev --colour",
        "daybook tenants burn",
        "python3 -m migrations.nothing",
        "python3 start.py bench nothing",
        "frobnicate",
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str) -> None:
    assert all(fault_in(words) for words in commands(text))


def test_decisions_are_numbered_without_a_hole_or_a_double() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for number, page in zip(numbers, pages, strict=True):
        assert page.read_text("utf-8").startswith(f"# {number}. "), page.name
