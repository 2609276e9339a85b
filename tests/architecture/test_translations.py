"""The page about fixed addresses says the same in each language: the same code, headings, rows and links."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge_expose_cloud.manifest.render import render
from edge_expose_cloud.spec.load import load_spec
from edge_expose_contract.parsing import DesiredDocument, parse_desired

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENGLISH = "fixed-address.md"
TRANSLATIONS = ("fixed-address.zh.md", "fixed-address.nl.md")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def shape(page: str) -> dict[str, object]:
    prose = _BLOCK.sub("", text(page))
    return {
        "code": _BLOCK.findall(text(page)),
        "headings": [len(marks) for marks in re.findall(r"^(#+) ", prose, re.M)],
        "rows": len(re.findall(r"^\|", prose, re.M)),
        "points": len(re.findall(r"^- ", prose, re.M)),
        "names": sorted(re.findall(r"`([^`]+)`", prose)),
        "links": sorted(link for link in re.findall(r"\]\(([^)]+)\)", prose) if not link.startswith("fixed-address")),
    }


@pytest.mark.parametrize("page", TRANSLATIONS)
def test_a_translation_has_the_shape_of_the_english_page(page: str) -> None:
    assert len(_BLOCK.findall(text(ENGLISH))) == 4
    assert shape(page) == shape(ENGLISH)


@pytest.mark.parametrize("page", [ENGLISH, *TRANSLATIONS])
def test_each_page_links_the_others_at_its_top(page: str) -> None:
    top = text(page).splitlines()[2]
    assert set(re.findall(r"\]\(([^)]+)\)", top)) == {ENGLISH, *TRANSLATIONS} - {page}


def test_the_create_options_are_what_the_tool_makes_of_the_spec_without_the_module() -> None:
    (_, spec), _, (_, options), _ = _BLOCK.findall(text(ENGLISH))
    loaded = load_spec(spec.replace(", hostname: web.site1.example.com", "") + "driver: manifest\n", "site1.yaml")
    assert loaded.spec is not None, loaded.findings
    agent = render(loaded.spec)["modulesContent"]["$edgeAgent"]["properties.desired"]
    assert json.loads(agent["modules"]["webserver"]["settings"]["createOptions"]) == json.loads(options)


def test_the_twin_that_is_typed_by_hand_asks_for_what_the_spec_asks_for() -> None:
    (_, spec), _, _, (_, twin) = _BLOCK.findall(text(ENGLISH))
    typed = parse_desired(json.loads(twin))
    loaded = load_spec(spec, "site1.yaml")
    assert isinstance(typed, DesiredDocument)
    assert loaded.spec is not None
    assert typed.exposures["web"].address == loaded.spec.exposures["web"].address
    assert typed.exposures["web"].ports == loaded.spec.exposures["web"].ports
