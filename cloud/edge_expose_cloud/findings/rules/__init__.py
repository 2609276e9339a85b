"""The rules of every check, in three tables by where they come from. Pure data, no I/O."""

from __future__ import annotations

from edge_expose_cloud.findings.rules import contract, manifests, specs

ROWS = specs.ROWS + contract.ROWS + manifests.ROWS
