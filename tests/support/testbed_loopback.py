"""A real Kubernetes API server with one real load balancer (MetalLB unless told) on loopback, for an ordinary user.

`RealCluster` starts etcd, kube-apiserver, the controllers and the load balancer on free ports, with state in a folder
of its own, so that several run side by side; all of it ends with the test run. There is no kubelet, kube-proxy or
speaker.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.lots import own
from support.testbed_api import Api
from support.testbed_binaries import why_not
from support.testbed_load_balancers import METALLB, RealLoadBalancer, make, needs
from support.testbed_metallb import MetalLb
from support.testbed_plane import NODE_PORTS, SERVICE_CIDR, ControlPlane, PlaneSettings
from support.testbed_processes import Launcher, Program, ProgramDied


class RealCluster:
    """One real cluster, with nothing of any other load balancer. `seconds`: what was started -> how long it took."""

    def __init__(
        self,
        profile: str,
        folder: Path,
        pool: str,
        service_cidr: str = SERVICE_CIDR,
        load_balancer: str = METALLB,
        node_ports: str = NODE_PORTS,
    ) -> None:
        self.profile = profile
        self.pool = pool
        self.folder = folder
        self.seconds: dict[str, float] = {}
        launcher = Launcher(folder / "log")
        client, peer, api, controllers, *balancer = own().ports(6)
        ranges = {"service_cidr": service_cidr, "node_ports": node_ports}
        settings = PlaneSettings(profile, "127.0.0.1", api, (client, peer), controllers, **ranges)
        self.plane = ControlPlane(settings, folder, launcher)
        ports = (balancer[0], balancer[1])
        self.balancer: RealLoadBalancer = make(
            load_balancer, profile, self.plane.api, self.plane.kubeconfig, launcher, ports
        )

    @property
    def metallb(self) -> MetalLb:
        """The load balancer, on a cluster where it is MetalLB."""
        assert isinstance(self.balancer, MetalLb), self.balancer
        return self.balancer

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.plane.kubeconfig

    @property
    def api(self) -> Api:
        return self.plane.api

    @property
    def programs(self) -> list[Program]:
        found = [*self.plane.programs, self.balancer.controller]
        return [program for program in found if program is not None]

    def start(self) -> None:
        """Raises ProgramDied when something does not come up."""
        begin = time.monotonic()
        self.plane.start()
        self.plane.wait_furnished()
        self.balancer.furnish([self.pool])
        self.balancer.start()
        if isinstance(self.balancer, MetalLb):
            self.balancer.wait_taken_in()
        self.seconds = {program.name: round(program.ready_after, 2) for program in self.programs}
        self.seconds["all"] = round(time.monotonic() - begin, 2)

    def restart(self) -> None:
        """Kills everything without warning and starts it again on the same data and ports."""
        self.kill()
        self.plane.start()
        self.balancer.start()

    def kill(self) -> None:
        self.balancer.kill()
        self.plane.kill()

    def stop(self) -> None:
        self.balancer.stop()
        self.plane.stop()


def start_real_cluster(
    profile: str, folder: Path, pool: str, load_balancer: str = METALLB, **ranges: str
) -> RealCluster:
    """A running cluster; one more try when somebody else took one of the ports in between. `ranges` are those of the
    API server: `service_cidr` and `node_ports`."""
    reason = why_not(profile, needs(load_balancer))
    assert not reason, reason
    first = RealCluster(profile, folder / "first", pool, load_balancer=load_balancer, **ranges)
    try:
        first.start()
        return first
    except ProgramDied as error:
        first.kill()
        if "address already in use" not in str(error):
            raise
    second = RealCluster(profile, folder / "second", pool, load_balancer=load_balancer, **ranges)
    try:
        second.start()
    except BaseException:
        second.kill()
        raise
    return second


@contextmanager
def real_cluster(profile: str, folder: Path, pool: str) -> Iterator[RealCluster]:
    """A running cluster with MetalLB for a fixture, gone at its end; skips where none can be had."""
    reason = why_not(profile, needs(METALLB))
    if reason:
        pytest.skip(reason)
    real = start_real_cluster(profile, folder, pool)
    try:
        yield real
    finally:
        real.kill()
