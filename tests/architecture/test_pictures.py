"""Each page of the explanation has one picture, which everybody can read: in the dark, by ear, with any fonts."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "explanation"
PICTURES = sorted(FOLDER.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def test_each_page_shows_the_picture_of_its_name() -> None:
    pages = [page for page in sorted(FOLDER.glob("*.md")) if page.name != "README.md"]
    assert [page.stem for page in pages] == [picture.stem for picture in PICTURES]
    for page in pages:
        shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        assert [name for _, name in shown] == [f"{page.stem}.svg"]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_readable_by_everybody(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    for name in ("title", "desc"):
        said = root.find(f"{SVG}{name}")
        assert said is not None
        assert said.text
        assert said.get("id") in (root.get("aria-labelledby") or "")
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    assert root.findall(f".//{SVG}text"), "words are text, which can be selected"
    assert not re.search(r"url\((?!#)|@import|<image|href", text), "nothing is loaded from elsewhere"
