"""Exposures on a cluster in memory, and where they are."""

from __future__ import annotations

from typing import Any

from support.bench import Bench


def web(*ports: Any, **more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": list(ports) or [80], **more}


def bench_with(exposures: dict[str, Any]) -> Bench:
    bench = Bench()
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire(exposures)
    bench.run()
    return bench


def addresses(bench: Bench) -> dict[str, str | None]:
    return {name: bench.cluster.address_of(name) for _, name in sorted(bench.cluster.services)}
