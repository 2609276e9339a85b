"""`python -m edge_expose_cloud.goldens --write`: renders every sample spec into deployment-manifests/rendered."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_expose_cloud.loading import load_spec
from edge_expose_cloud.manifest import manifest_text, render

SPECS = Path("deployment-manifests/specs")
RENDERED = Path("deployment-manifests/rendered")


def rendered(specs: Path = SPECS) -> dict[str, str]:
    """File name -> manifest text of each sample. Raises ValueError for a sample with errors."""
    found = {}
    for path in sorted(specs.glob("*.yaml")):
        loaded = load_spec(path.read_text(encoding="utf-8"), str(path))
        if loaded.spec is None:
            raise ValueError(f"{path}: {loaded.findings[0].message}")
        found[f"{path.stem}.json"] = manifest_text(render(loaded.spec))
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_expose_cloud.goldens")
    parser.add_argument("--write", action="store_true", help="write the files; without it they are compared")
    options = parser.parse_args(arguments)
    stale = 0
    for name, text in rendered().items():
        path = RENDERED / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if options.write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'wrote' if options.write else 'stale'} {path}")
    return 0 if options.write or not stale else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
