"""The real load balancers of the test bed, and what the fixtures ask of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from support.testbed_api import Api
from support.testbed_binaries import CONTROL_PLANE
from support.testbed_cilium import Cilium
from support.testbed_metallb import MetalLb
from support.testbed_processes import Launcher, Program
from support.testbed_service_controller import ServiceController

METALLB: Final = "metallb"
CILIUM: Final = "cilium"
SERVICE_CONTROLLER: Final = "service-controller"
OTHERS: Final = (CILIUM, SERVICE_CONTROLLER)
_PROGRAMS: Final = {METALLB: "controller", CILIUM: "cilium-operator", SERVICE_CONTROLLER: "service-controller"}


class RealLoadBalancer(Protocol):
    """One load balancer beside one API server; killed and started again, it goes on where it was."""

    controller: Program | None

    def furnish(self, ranges: Sequence[str]) -> None:
        """Makes what it needs before it starts, with these ranges to give out."""

    def start(self) -> None:
        """Returns once it serves Services; raises ProgramDied."""

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def set_pool(self, *ranges: str) -> None:
        """Makes these ranges all there is to give out."""

    def wait_released(self) -> None:
        """Until the addresses of deleted Services are free."""


def needs(name: str) -> tuple[str, ...]:
    """The programs of a loopback cluster with this load balancer."""
    return (*CONTROL_PLANE, _PROGRAMS[name])


def make(
    name: str, profile: str, api: Api, kubeconfig: Path, launcher: Launcher, ports: tuple[int, int]
) -> RealLoadBalancer:
    match name:
        case "metallb":
            return MetalLb(profile, api, kubeconfig, launcher, ports)
        case "cilium":
            return Cilium(api, kubeconfig, launcher, ports)
        case "service-controller":
            return ServiceController(api, kubeconfig, launcher, ports)
    raise AssertionError(f"there is no load balancer {name}")
