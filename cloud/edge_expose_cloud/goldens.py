"""`python -m edge_expose_cloud.goldens --write`: renders every sample spec into deployment-manifests/rendered."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_expose_cloud.generated import renew
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
    return renew("edge_expose_cloud.goldens", rendered(), RENDERED, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
