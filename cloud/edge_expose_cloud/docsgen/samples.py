"""Renders every sample spec: `python -m edge_expose_cloud.docsgen.samples --write`."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_expose_cloud.docsgen.committed import renew
from edge_expose_cloud.manifest.render import manifest_text, render
from edge_expose_cloud.spec.load import load_spec

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
    return renew("edge_expose_cloud.docsgen.samples", rendered(), RENDERED, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
