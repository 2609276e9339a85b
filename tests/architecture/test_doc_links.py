"""Every link between the repository's own pages leads to a file, and to a heading where it names one."""

from __future__ import annotations

import functools
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
_ID = re.compile(r"""<\w[^>]* id=["']([^"']+)["']""")
_slug = slugify(case="lower")


def pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    links = [(file, anchor) for file, anchor in _LINK.findall((ROOT / page).read_text()) if "://" not in file]
    assert not [link for link in links if not _leads_somewhere(ROOT / page, *link)]


def _leads_somewhere(page: Path, file: str, anchor: str) -> bool:
    target = page.parent / file if file else page
    return target.exists() and (not anchor or target.suffix != ".md" or anchor in _anchors(target))


@functools.cache
def _anchors(page: Path) -> set[str]:
    """The names that headings get on GitHub and on the site, and those given by hand."""
    text = page.read_text()
    found, seen = set(_ID.findall(text)), Counter[str]()
    tokens = MarkdownIt().parse(text)
    for heading in (tokens[n + 1] for n, token in enumerate(tokens) if token.type == "heading_open"):
        shown = "".join(part.content for part in heading.children or () if part.type in ("text", "code_inline"))
        slug = _slug(shown, "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found
