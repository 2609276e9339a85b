"""Why the owner of the device does not allow an exposure: one function a rail, in the order of the table."""

from __future__ import annotations

from collections.abc import Iterable

from edge_expose_contract.addressing import Address, AddressRange, parse_address
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import split_pair
from edge_expose_module.blocks import Block
from edge_expose_module.desired.rails.model import Guards, Patterns, host
from edge_expose_module.desired.rails.networks import EVERYWHERE, stands_for
from edge_expose_module.desired.rails.steering import matches, names, steers


def namespace(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    allowed = guards.namespaces
    if allowed is None or where in allowed:
        return None
    text = _outside("namespace", where, sorted(allowed), guards, "namespaces")
    return Block.of("NamespaceNotAllowed", text, namespace=where, allowed=", ".join(sorted(allowed)))


def ports(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    if guards.ports is None:
        return None
    for span in exposure.spans:
        outside = _first_outside(span.first, span.last, guards.ports)
        if outside is not None:
            allowed = [f"{first}-{last}" for first, last in guards.ports]
            text = _outside("port", outside, allowed, guards, "ports")
            return Block.of("PortNotAllowed", text, port=outside, allowed=", ".join(allowed))
    return None


def addresses(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    if guards.addresses is None:
        return None
    outside = next((address for address in exposure.addresses if address not in guards.addresses), None)
    if outside is None:
        return None
    text = _outside("address", outside, [guards.addresses], guards, "addresses")
    return Block.of("AddressNotAllowed", text, address=outside, allowed=guards.addresses)


def sources(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    if guards.sources is None or not exposure.is_external:
        return None
    networks = _texts(guards.sources)
    allowed = networks + guards.where("sources")
    if not exposure.sources:
        text = f"this device wants allowFrom on every exposure, inside: {allowed}"
        return Block.of("SourceNotAllowed", text, source="", allowed=networks)
    for source in exposure.sources:
        if not any(source.first in part and source.last in part for part in guards.sources):
            text = f"allowFrom {source} reaches beyond what this device allows: {allowed}; narrow it"
            return Block.of("SourceNotAllowed", text, source=source, allowed=networks)
    return None


def endpoints(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    """An endpoint must lie in what every place allows; one in a network refused by default needs an entry that is no
    wider than that network, so that 10.0.0.0/8 does not open the pod network inside it."""
    for text in exposure.endpoints or ():
        address = parse_address(text)
        for layer in guards.endpoints or ():
            if not any(address in part for part in layer):
                allowed = [_texts(layer)]
                told = _outside("endpoint", address, allowed, guards, "endpoints")
                return Block.of("EndpointNotAllowed", told, endpoint=address, network="")
        found = _refused_network(address, guards)
        if found is not None:
            lies, what = found
            where = f"{address} lies in" if lies == address else f"{address} stands for {lies}, in"
            cure = f"use another address, or have the owner of the device allow {host(lies).first} by name"
            told = f"endpoint {where} {what}, which this device does not allow unless its owner names it"
            return Block.of("EndpointNotAllowed", f"{told}; {cure} (ALLOW_ENDPOINTS)", endpoint=address, network=what)
    return None


def _refused_network(address: Address, guards: Guards) -> tuple[Address, str] | None:
    """What lies in a network that is refused by default and that not every place names, and the network's name."""
    for lies in stands_for(address):
        for network, what in (*EVERYWHERE, *guards.networks.ranges):
            if lies in network and not all(
                any((lies in part and _inside(part, network)) or part == host(address) for part in layer)
                for layer in guards.endpoints or ((),)
            ):
                return lies, what
    return None


def annotation(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    for pair in exposure.annotations or ():
        key = split_pair(pair)[0]
        refused = _key("annotation", key, guards.annotations, guards, "annotations")
        if refused is not None:
            return Block.of("AnnotationNotAllowed", refused, key=key)
    return None


def label(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    for pair in exposure.labels or ():
        key = split_pair(pair)[0]
        refused = _key("label", key, guards.labels, guards, "labels")
        if refused is not None:
            return Block.of("LabelNotAllowed", refused, key=key)
    return None


def hostname(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    name = exposure.hostname
    for layer in guards.hostnames or ():
        if name is not None and not matches(name, layer):
            text = _outside("hostname", name, layer, guards, "hostnames")
            return Block.of("HostnameNotAllowed", text, hostname=name, allowed=", ".join(layer))
    return None


def load_balancer_class(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    name = exposure.load_balancer_class
    if guards.classes is None or name is None or name in guards.classes:
        return None
    allowed = sorted(guards.classes)
    text = _outside("loadBalancerClass", name, allowed, guards, "classes")
    return Block.of("ClassNotAllowed", text, load_balancer_class=name, allowed=", ".join(allowed))


def adoption(guards: Guards, service: str) -> Block | None:
    """Asked where a Service of somebody else would be taken over, and not for one that is ours already."""
    if guards.adopt:
        return None
    told = f"Service {service} is not ours, and this device does not allow taking one over{guards.where('adopt')}"
    text = f"{told}; rename the exposure, or have its owner set ALLOW_ADOPT to true"
    return Block.of("AdoptNotAllowed", text, service=service)


def nothing(guards: Guards, exposure: Exposure, where: str) -> Block | None:
    """Of a rail that is asked elsewhere."""
    return None


def _key(kind: str, key: str, layers: tuple[Patterns, ...] | None, guards: Guards, field: str) -> str | None:
    for layer in layers or ():
        if not matches(key, layer):
            return _outside(kind, key, layer, guards, field)
    what = steers(key)
    if what and not all(names(key, layer) for layer in layers or ((),)):
        told = f"{kind} {key} steers {what}, which this device does not allow unless its owner names it"
        return f"{told}; use the field of the exposure, or have the owner allow the key (ALLOW_{field.upper()})"
    return None


def _outside(what: str, value: object, allowed: Iterable[object], guards: Guards, field: str) -> str:
    shown = ", ".join(map(str, allowed)) or "none"
    place = guards.where(field)
    return f"{what} {value} is not among those this device allows: {shown}{place}; use one of them, or ask the owner"


def _inside(part: AddressRange, network: AddressRange) -> bool:
    return part.first in network and part.last in network


def _first_outside(first: int, last: int, allowed: tuple[tuple[int, int], ...]) -> int | None:
    """The first port of the span that no allowed range holds."""
    for low, high in sorted(allowed):
        if low <= first <= high:
            first = high + 1
    return first if first <= last else None


def _texts(ranges: tuple[AddressRange, ...]) -> str:
    return ", ".join(str(part) for part in ranges)
