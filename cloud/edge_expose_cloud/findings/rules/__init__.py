"""The rules of every check, in four tables by where they come from. Pure data, no I/O."""

from __future__ import annotations

from edge_expose_cloud.findings.rules import contract, imports, manifests, specs

ROWS = specs.ROWS + contract.ROWS + manifests.ROWS + imports.ROWS
