"""Beds for situations: on a cluster of this run, whether real or embedded, or on a real one of a special kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.cluster import ClusterProcess
from support.situations.bed import Bed
from support.situations.kubernetes_ranges import NODE_PORTS, SERVICE_CIDR
from support.testbed_loopback import RealCluster, start_real_cluster

BASES: Final = {"1.36": "127.98.36", "1.20": "127.98.20"}
#: what a situation may need -> how the real cluster is started for it
KINDS: Final[dict[str, dict[str, Any]]] = {
    "": {},
    "dual-stack": {"service_cidr": "10.96.0.0/16,fd00:96::/112"},
    "tiny-ranges": {"service_cidr": SERVICE_CIDR, "node_ports": NODE_PORTS},
}


def bed_of(process: RealCluster | ClusterProcess, base: str) -> Bed:
    """A bed on a running cluster; its pools and Services are the situations' from now on."""
    if isinstance(process, ClusterProcess):
        log = process.state.parent / f"{process.state.name}.log"
        return Bed(process.profile, process.kubeconfig, base, log, None, process.restart)
    controller = process.metallb.controller
    assert controller is not None
    return Bed(process.profile, process.kubeconfig, base, controller.log, process, process.restart)


@contextmanager
def real_bed(profile: str, folder: Path, needs: str = "") -> Iterator[Bed]:
    """A real cluster of its own."""
    base = BASES[profile]
    real = start_real_cluster(profile, folder, f"{base}.10-{base}.20", **KINDS[needs])
    try:
        yield bed_of(real, base)
    finally:
        real.stop()
