"""Builds the documentation site from the repository's own pages: `make docs`.

The pages stand where a reader of the repository expects them, not all below docs/. They are staged in a temporary
folder with the same layout, so that one relative link works on the repository's page view and on the site.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

os.environ["NO_MKDOCS_2_WARNING"] = "1"  # else the theme prints a notice that has nothing to do with these pages

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).resolve().parents[1]
STAGED = ("*.md", "docs/*", "deployment-manifests/*")
NOT_STAGED = ("docs/mkdocs.yml", "docs/build_site.py")
_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")
_ALERT = re.compile(r"^> \[!(\w+)\]\n((?:>.*\n?)+)", re.M)


def repository_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *STAGED]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in set(listed) if name not in NOT_STAGED and (ROOT / name).is_file())


def readable(page: Path) -> str:
    """The page as the repository's page view shows it: links to folders lead to their README, and alerts are boxes."""

    def target(link: re.Match[str]) -> str:
        folder = page.parent / link[1]
        return f"{link[1].rstrip('/')}/README.md" if folder.is_dir() else link[1]

    return _ALERT.sub(admonition, _LINK.sub(target, page.read_text()))


def admonition(alert: re.Match[str]) -> str:
    """`> [!WARNING]`, which the repository's page view shows as a box, as the theme writes it."""
    lines = [f"    {line.removeprefix('>').strip()}".rstrip() for line in alert[2].splitlines()]
    return "\n".join([f"!!! {alert[1].lower()}", "", *lines, ""])


def stage(folder: Path) -> list[str]:
    files = repository_files()
    for name in files:
        if name.endswith(".md"):
            put(folder / name).write_text(readable(ROOT / name))
            for link in linked_files(ROOT / name):
                shutil.copyfile(link, put(folder / link.relative_to(ROOT)))
        else:
            shutil.copyfile(ROOT / name, put(folder / name))
    return files


def linked_files(page: Path) -> Iterator[Path]:
    """Sources that the page links to; pages are staged by themselves."""
    for link in _LINK.findall(page.read_text()):
        file = (page.parent / link).resolve()
        if file.is_file() and file.suffix != ".md" and file.is_relative_to(ROOT):
            yield file


def put(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def expanded(nav: list[object], files: list[str]) -> list[object]:
    """The navigation, with each pattern replaced by the pages that match it and that no other entry names."""
    named = set(re.findall(r"[\w./-]+(?=')", str(nav)))

    def entry(item: object) -> list[object]:
        match item:
            case str() if "*" in item:
                return [name for name in files if fnmatch(name, item) and name not in named]
            case dict():
                opened = {k: expand(v) if isinstance(v, list) else v for k, v in item.items()}
                return [opened] if all(opened.values()) else []
        return [item]

    def expand(items: list[object]) -> list[object]:
        return [found for item in items for found in entry(item)]

    return expand(nav)


def main(site: Path) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    with tempfile.TemporaryDirectory() as staged:
        files = stage(Path(staged))
        file = str(ROOT / "docs" / "mkdocs.yml")
        config = load_config(file, docs_dir=staged, site_dir=str(site), strict=True)
        config.nav = expanded(config.nav or [], files)
        config.plugins.on_startup(command="build", dirty=False)
        try:
            build(config)
        except Abort as refused:
            sys.exit(str(refused))
    print(site / "index.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "dist" / "site")
