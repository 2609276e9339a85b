"""Each symptom of the troubleshooting page is made in a test that exists, and comes with what it is and the cure."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from edge_expose_contract.reason_table import REASON_TABLE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations" / "troubleshooting.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"^<!-- shown by (tests/\S+\.py)::(\w+) -->$", re.M)
MADE_FOR_IT = ("tests/unit/module/test_symptoms.py", "tests/unit/cloud/test_symptoms.py")


def symptoms() -> dict[str, str]:
    parts = re.split(r"^### (.*)$", TEXT, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@functools.cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("symptom", symptoms())
def test_a_symptom_is_made_in_a_test(symptom: str) -> None:
    named = SHOWN.findall(symptoms()[symptom])
    assert named
    assert [name for file, name in named if name not in names_in(file)] == []


@pytest.mark.parametrize("symptom", symptoms())
def test_a_symptom_comes_with_what_it_is_how_to_see_it_and_the_cure(symptom: str) -> None:
    section = symptoms()[symptom].split("\n## ")[0]
    assert symptom.startswith('"'), "as people say it"
    assert re.findall(r"^\*\*(.*?)\.\*\*", section, re.M) == ["What it is", "See it", "Cure"]


def test_what_is_made_for_the_page_stands_there() -> None:
    assert len(symptoms()) >= 25
    named = set(SHOWN.findall(TEXT))
    assert [(file, name) for file in MADE_FOR_IT for name in names_in(file) if (file, name) not in named] == []


def test_reasons_are_called_by_their_names() -> None:
    words = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]+)+)`", TEXT))
    assert len(words) > 5
    assert words - {str(reason) for reason in REASON_TABLE} == set()
