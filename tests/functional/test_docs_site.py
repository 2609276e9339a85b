"""The documentation site builds without a warning, its links lead somewhere, and it loads nothing from outside."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: element -> the attribute from which a browser loads something by itself
_LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
#: relations of `link` that name an address and load nothing
_ONLY_NAMED = {"canonical", "next", "prev", "alternate"}


class Page(HTMLParser):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if (attribute := _LOADED.get(tag)) in given and given.get("rel") not in _ONLY_NAMED:
            self.loaded.append(given[attribute])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "docs" / "build_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


def test_every_page_of_the_repository_is_on_it(site: Path, pages: dict[Path, Page]) -> None:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wanted = {site / name.replace("README.md", "index.html").replace(".md", ".html") for name in listed.split()}
    assert wanted - set(pages) == set()


def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                broken.append(f"{file.name}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                broken.append(f"{file.name}: {link} (no such anchor)")
    assert not broken


def test_no_page_loads_anything_from_outside(pages: dict[Path, Page]) -> None:
    outside = {
        link for page in pages.values() for link in page.loaded if urlsplit(link).scheme or urlsplit(link).netloc
    }
    assert outside == set()
    assert any(page.loaded for page in pages.values()), "the check sees no script and no style sheet"
