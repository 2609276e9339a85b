"""Files that are generated and committed: renewed with `--write`, else compared. One command line for all of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path


def renew(program: str, files: Mapping[str, str], folder: Path, arguments: list[str]) -> int:
    """`files` maps names to texts. 0 when all are current or were written, 1 when one is stale."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--write", action="store_true", help="write the files; without it they are compared")
    parser.add_argument("--folder", type=Path, default=folder)
    options = parser.parse_args(arguments)
    stale = 0
    for name, text in files.items():
        path: Path = options.folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if options.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'wrote' if options.write else 'stale'} {path}")
    return 0 if options.write or not stale else 1
