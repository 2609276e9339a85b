"""Keys that steer a load balancer, external-dns or kube-proxy past the fields of an exposure, and what stands behind
them. They are refused unless a rail names them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from edge_expose_module.rails.model import Patterns

_BALANCER: Final = "a load balancer"
_DNS: Final = "external-dns"
_PROXY: Final = "kube-proxy"

STEERING: Final[tuple[tuple[str, str], ...]] = (
    ("metallb.io/*", _BALANCER),
    ("metallb.universe.tf/*", _BALANCER),
    ("purelb.io/*", _BALANCER),
    ("kube-vip.io/*", _BALANCER),
    ("lbipam.cilium.io/*", _BALANCER),
    ("io.cilium/*", _BALANCER),
    ("service.cilium.io/*", _BALANCER),
    ("cilium.io/*", _BALANCER),
    ("loxilb.io/*", _BALANCER),
    ("openelb.io/*", _BALANCER),
    ("lb.kubesphere.io/*", _BALANCER),
    ("eip.openelb.kubesphere.io/*", _BALANCER),
    ("protocol.openelb.kubesphere.io/*", _BALANCER),
    ("svccontroller.k3s.cattle.io/*", _BALANCER),
    ("projectcalico.org/*", _BALANCER),
    ("service.beta.kubernetes.io/*", _BALANCER),
    ("service.alpha.kubernetes.io/*", _BALANCER),
    ("loadbalancer.openstack.org/*", _BALANCER),
    ("cloud.google.com/*", _BALANCER),
    ("networking.gke.io/*", _BALANCER),
    ("load-balancer.hetzner.cloud/*", _BALANCER),
    ("kubernetes.digitalocean.com/*", _BALANCER),
    ("external-dns.alpha.kubernetes.io/*", _DNS),
    ("external-dns.kubernetes.io/*", _DNS),
    ("service.kubernetes.io/*", _PROXY),
    ("endpointslice.kubernetes.io/*", _PROXY),
    ("kubernetes.io/*", _PROXY),
)


def steers(key: str) -> str:
    """What a key steers; empty when it is a plain note."""
    lowered = key.lower()
    return next((what for pattern, what in STEERING if fnmatchcase(lowered, pattern)), "")


def matches(key: str, patterns: Patterns) -> bool:
    return any(pattern == "*" or fnmatchcase(key, pattern) for pattern in patterns)


def names(key: str, patterns: Patterns) -> bool:
    """A bare `*` means everything that is harmless: what steers is named, or its prefix is."""
    return any(pattern != "*" and fnmatchcase(key, pattern) for pattern in patterns)
