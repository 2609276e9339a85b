"""Keys that steer a load balancer, a DNS controller or the service proxy past the fields of an exposure.

They are refused unless a rail names them. Annotations are a feature, so what is not known to steer is free. Known are
domains of products that read annotations of Services, with everything below them, and families of names: a controller
that nobody listed here yet says in its domain that it is about load balancers or DNS.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from edge_expose_module.desired.rails.model import Patterns

_BALANCER: Final = "a load balancer"
_DNS: Final = "a DNS controller"
_NETWORK: Final = "the cluster's network"
_KUBERNETES: Final = "Kubernetes or one of its controllers"

DOMAINS: Final[dict[str, str]] = {
    # Load balancers of one's own.
    "metallb.io": _BALANCER,
    "metallb.universe.tf": _BALANCER,
    "purelb.io": _BALANCER,
    "kube-vip.io": _BALANCER,
    "loxilb.io": _BALANCER,
    "openelb.io": _BALANCER,
    "kubesphere.io": _BALANCER,
    "cattle.io": _BALANCER,
    "f5.com": _BALANCER,
    "vmware.com": _BALANCER,
    "ncp": _BALANCER,
    "a10networks.com": _BALANCER,
    "citrix.com": _BALANCER,
    "netscaler.com": _BALANCER,
    "haproxy.org": _BALANCER,
    "tailscale.com": _BALANCER,
    # Clouds.
    "amazonaws.com": _BALANCER,
    "azure.com": _BALANCER,
    "cloud.google.com": _BALANCER,
    "gke.io": _BALANCER,
    "oraclecloud.com": _BALANCER,
    "openstack.org": _BALANCER,
    "hetzner.cloud": _BALANCER,
    "digitalocean.com": _BALANCER,
    "civo.com": _BALANCER,
    "ovhcloud.com": _BALANCER,
    "equinix.com": _BALANCER,
    "aliyun.com": _BALANCER,
    "yandex.cloud": _BALANCER,
    # The cluster's network, which often hands out addresses too.
    "cilium.io": _NETWORK,
    "io.cilium": _NETWORK,
    "projectcalico.org": _NETWORK,
    "tigera.io": _NETWORK,
    "antrea.io": _NETWORK,
    "kube-router.io": _NETWORK,
    "ovn.org": _NETWORK,
    # Names.
    "coredns.io": _DNS,
    # All that Kubernetes keeps for itself and its projects, such as service.beta, external-dns.alpha and dns.alpha.
    "kubernetes.io": _KUBERNETES,
    "k8s.io": _KUBERNETES,
}
"""Each with every domain below it."""
NOTES: Final = frozenset(
    {"app.kubernetes.io", "kubectl.kubernetes.io", "config.kubernetes.io", "internal.config.kubernetes.io"}
)
"""Below those, and plain notes all the same."""
_BALANCER_WORD: Final = re.compile(
    r"(^|[.-])([a-z]?lbs?|lb-?ipam|open-?elb|[a-z]*-?load-?balanc(er|ers|ing)|eips?|vips?|ipam|bgp)($|[.-])"
)
_DNS_WORD: Final = re.compile(r"(^|[.-])([a-z]*-?dns)($|[.-])")
WORDS: Final = (_BALANCER_WORD, _DNS_WORD)
"""Parts of a domain."""
IN_A_NAME: Final = re.compile(r"load-?balancer|external-?dns")


def steers(key: str) -> str:
    """What a key steers; empty when it is a plain note."""
    prefix, _, name = key.lower().rpartition("/")
    if prefix in NOTES:
        return ""
    parts = prefix.split(".")
    for place in range(len(parts)):
        if (found := DOMAINS.get(".".join(parts[place:]))) is not None:
            return found
    if _DNS_WORD.search(prefix):
        return _DNS
    if _BALANCER_WORD.search(prefix):
        return _BALANCER
    found_in_name = IN_A_NAME.search(name)
    return (_DNS if "dns" in found_in_name[0] else _BALANCER) if found_in_name is not None else ""


def matches(key: str, patterns: Patterns) -> bool:
    return any(pattern == "*" or fnmatchcase(key, pattern) for pattern in patterns)


def names(key: str, patterns: Patterns) -> bool:
    """A bare `*` means everything that is harmless: what steers is named, or its prefix is."""
    return any(pattern != "*" and fnmatchcase(key, pattern) for pattern in patterns)
