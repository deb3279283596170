"""The documentation, read for its examples: fenced blocks, shell commands, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.source import ROOT

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*) *(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
COMMENT = re.compile(r"(?:^|(?<=\s))#[^'\"\n]*$", re.MULTILINE)
INNER_COMMAND = re.compile(r"\$\(([^()]*)\)")
OPERATORS = "();<>|&\n"


class Block(NamedTuple):
    """A fenced block: where it begins, its language, what else its fence says."""

    path: Path
    line: int
    language: str
    rest: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """What people read: the README and its siblings, docs, and what examples say."""
    folders = [ROOT / "docs", ROOT / "examples"]
    deeper = [path for folder in folders for path in sorted(folder.rglob("*.md"))]
    return [*sorted(ROOT.glob("*.md")), *deeper]


def blocks(*languages: str) -> list[Block]:
    """Every fenced block in one of these languages."""
    return [
        block
        for path in documents()
        for block in _blocks(path)
        if block.language in languages
    ]


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        indented = re.compile(f"^{found['indent']}", re.MULTILINE)
        content = indented.sub("", found["text"])
        yield Block(path, line, found["language"], found["rest"], content)


def links(path: Path) -> list[str]:
    """Where its links to files lead, without what comes after `#`."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    found = (target.partition("#")[0] for target in LINK.findall(text))
    return [target for target in found if target]


def commands(text: str) -> list[list[str]]:
    """The words of each command in a shell block, those inside `$(...)` too."""
    text = COMMENT.sub("", text.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace, lexer.commenters = " \t\r", ""
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    is_file = False  # the word after < or > names one
    for word in lexer:
        if set(word) <= set(OPERATORS):
            is_file = word in ("<", ">", ">>")
            if not is_file:
                found.append([])
        elif not is_file and not (found[-1] == [] and re.match(r"\w+=", word)):
            found[-1].append(word)
            is_file = False
    inner = [one for text in INNER_COMMAND.findall(text) for one in commands(text)]
    return [words for words in found if words] + inner
