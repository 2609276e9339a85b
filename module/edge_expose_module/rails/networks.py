"""Networks of the cluster that endpoints may not lead into by default, as far as the module can know them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_expose_contract.addressing import Address, AddressRange, parse_address, parse_range
from edge_expose_contract.violations import RuleError
from edge_expose_module.observed_service import ObservedService
from edge_expose_module.rails.model import Networks, host

_SERVICES = "the Service network beyond the cluster IPs seen"


def cluster_networks(
    api_server: Iterable[Address], services: Iterable[ObservedService], nodes: Iterable[Mapping[str, Any]] | None
) -> Networks:
    """`nodes` None: they may not be read, so nobody tells the pod network."""
    ranges = [(host(address), "the address of the API server") for address in api_server]
    for service in services:
        texts = [service.spec.get("clusterIP"), *(service.spec.get("clusterIPs") or [])]
        found = {address for text in texts if (address := _address(text)) is not None}
        name = f"the Service network (cluster IP of {service.namespace}/{service.name})"
        ranges += [(host(address), name) for address in sorted(found, key=int)]
    pods = _pod_networks(nodes or ())
    ranges += [(network, "the pod network") for network in pods]
    unknown = (_SERVICES,) if pods else ("the pod network", _SERVICES)
    return Networks(tuple(ranges), unknown)


def _pod_networks(nodes: Iterable[Mapping[str, Any]]) -> list[AddressRange]:
    texts: set[str] = set()
    for node in nodes:
        spec = node.get("spec") or {}
        texts.update(str(text) for text in (spec.get("podCIDR"), *(spec.get("podCIDRs") or [])) if text)
    found = []
    for text in sorted(texts):
        try:
            found.append(parse_range(text))
        except RuleError:
            continue
    return found


def _address(text: object) -> Address | None:
    try:
        return parse_address(text) if isinstance(text, str) else None
    except RuleError:
        return None  # a headless Service says "None"
