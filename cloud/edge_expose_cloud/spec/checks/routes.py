"""Findings of one route, in a spec or in a manifest. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.iotedge.routes import check_route, unused_source
from edge_expose_contract.violations import shown


def check_route_text(text: str, path: str) -> Iterator[Finding]:
    """An error where edgeHub refuses the route; a warning where it may never be used."""
    problem = check_route(text)
    if problem is not None:
        yield finding("RouteSyntax", path, problem)
    elif (source := unused_source(text)) is not None:
        yield finding("RouteSource", path, f"no documented message source begins with {shown(source)}")
