"""Exposures of one sharing key on a cluster that sees who loses an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.watched_cluster import Watched

HELD = "10.0.0.12"


def group(**ports: Sequence[object]) -> dict[str, Any]:
    return {name: one(*numbers) for name, numbers in ports.items()}


def one(*ports: object, **more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": list(ports), "share": "k", "address": HELD, **more}


def world(guards: Guards | None = None, **ports: Sequence[object]) -> Bench:
    found = Bench(Watched(), guards=guards)
    found.cluster.add_pod("w", {"app": "ws"})
    found.desire(group(**ports))
    found.run()
    assert {found.cluster.address_of(name) for name in ports} == {HELD}
    return found


def published(found: Bench, *names: str) -> list[list[int]]:
    services = found.cluster.services
    return [[port["port"] for port in services[("edge1", name)]["spec"]["ports"]] for name in names]
