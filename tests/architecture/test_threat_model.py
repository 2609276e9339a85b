"""SECURITY.md speaks of what is tested: each test that it names exists, and each answer names one."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[^`]+\.py)::(\w+)`", TEXT)
ACTORS = (
    "writes the module's twin",
    "twin of `$edgeAgent`",
    "tenant of the namespace",
    "hostile device",
    "network",
    "viewer of the portal",
    "operator of the portal",
    "state file, a backup",
)


@functools.cache
def names_in(file: str) -> set[str]:
    path = ROOT / file
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def rows() -> list[list[str]]:
    """The cells of each threat."""
    return [row for section in sections() for row in rows_of(section)]


def sections() -> list[str]:
    """What stands below the heading of each actor."""
    return re.split(r"^### .*$", TEXT, flags=re.M)[1:]


def rows_of(section: str) -> list[list[str]]:
    lines = [
        line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| could", "| ---"))
    ]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def shown_by(section: str) -> dict[str, str]:
    """What the list of tests below a table says of each of its rows."""
    found = re.findall(r"^- \*\*(.+?)\*\*(.*(?:\n    - .*)*)", section, re.M)
    assert len(dict(found)) == len(found), "a row is named twice"
    return dict(found)


def test_every_test_that_the_threat_model_names_exists() -> None:
    assert len(NAMED) > 60
    assert [f"{file}::{name}" for file, name in NAMED if name not in names_in(file)] == []


def test_each_answer_names_a_test_or_says_that_nothing_of_ours_stops_it() -> None:
    assert len(rows()) > 30
    for section in sections():
        shown = shown_by(section)
        assert list(shown) == [row[0] for row in rows_of(section)]
        for row in rows_of(section):
            assert len(row) == 3, row
            want, stopped, left = row
            assert left, row
            assert "::test_" in shown[want] or (stopped.startswith("Nothing in edge-expose") and left != "—"), row


def test_everybody_who_could_want_something_has_a_table() -> None:
    heads = re.findall(r"^### (.*)$", TEXT, re.M)
    assert [who for who in ACTORS if not any(who in head for head in heads)] == []
    assert len(heads) == len(ACTORS)
