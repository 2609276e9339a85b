"""The documentation site, opened from its folder: its search works, and it asks nobody for anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.local import ROOT

pytestmark = pytest.mark.browser


def test_the_search_works_from_a_folder(chromium: Any, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "docs" / "build_site.py"), str(tmp_path)], check=True)
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "docs" / "guide" / "device.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("/")
    page.get_by_role("textbox", name="Search").press_sequentially("AdoptionWouldDrop")
    page.locator(".md-search-result__item").first.wait_for(timeout=30_000)
    assert {url for url in asked if not url.startswith(("file:", "data:"))} == set()
    page.close()
