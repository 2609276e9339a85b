"""What a change means for those who use the device: what moves, what stops answering and for whom, what opens. Pure.

Two questions, for every door and both drivers: `service_impact` compares the Services before and after, and
`manifest_impact` the manifests. Services are compared as Kubernetes objects, so that it does not matter whether our
module or edgeAgent makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import collapse_addresses, ip_network
from typing import Any, Final

from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.plan.model import Impact
from edge_expose_cloud.plan.service_forecast import addresses_asked
from edge_expose_contract.identity import EDGE_MODULE_LABEL, HOSTNAME_ANNOTATION, LABEL_EXPOSURE

EVERYONE: Final = "everyone"

Key = tuple[str, str]
Endpoint = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Reach:
    """How one Service can be reached: at which addresses and ports, and by whom ("everyone", or networks)."""

    key: Key
    exposure: str
    addresses: tuple[str, ...]
    ports: tuple[tuple[str, int], ...]
    clients: tuple[str, ...]
    external: bool
    hostname: str
    who: str
    targets: Mapping[tuple[str, int], str]

    @property
    def audience(self) -> str:
        return f"clients in {', '.join(self.clients)}" if self.clients else EVERYONE

    def endpoints(self) -> Iterator[Endpoint]:
        for address in self.addresses:
            for protocol, port in self.ports:
                yield address, protocol, port


def service_impact(
    before: Mapping[Key, Json], after: Mapping[Key, Json], held: Mapping[str, str] | None = None
) -> tuple[Impact, ...]:
    """`held` maps an exposure to the addresses that it holds now, as reported ("" for none); one that is not reported,
    and every one without `held` (`driver: manifest`), holds what it asks for."""
    then = {key: _reach(key, service, held) for key, service in before.items()}
    next_ = {key: _next(_reach(key, service, None), then.get(key)) for key, service in after.items()}
    found: list[Impact] = []
    for key in sorted(then.keys() | next_.keys()):
        found += _of_one(then.get(key), next_.get(key), next_)
    found += _freed(then, next_)
    return tuple(dict.fromkeys(found))


def _reach(key: Key, service: Json, held: Mapping[str, str] | None) -> _Reach:
    spec, metadata = service.get("spec") or {}, service["metadata"]
    exposure = (metadata.get("labels") or {}).get(LABEL_EXPOSURE) or key[1]
    external = spec.get("type") == "LoadBalancer"
    text = addresses_asked(service) if held is None or exposure not in held else held[exposure]
    return _Reach(
        key=key,
        exposure=exposure,
        addresses=tuple(part.strip() for part in text.split(",") if part.strip()) if external else (),
        ports=tuple((str(port.get("protocol", "TCP")).lower(), port["port"]) for port in spec.get("ports") or ()),
        clients=() if _is_everyone(ranges := tuple(spec.get("loadBalancerSourceRanges") or ())) else ranges,
        external=external,
        hostname=str((metadata.get("annotations") or {}).get(HOSTNAME_ANNOTATION) or ""),
        who=_who(spec),
        targets={
            (str(port.get("protocol", "TCP")).lower(), port["port"]): str(port.get("targetPort", port["port"]))
            for port in spec.get("ports") or ()
        },
    )


def _who(spec: Mapping[str, Any]) -> str:
    """`the module web`, or the pods by their labels; "" for endpoints given by hand."""
    selector = spec.get("selector") or {}
    if EDGE_MODULE_LABEL in selector:
        return f"the module {selector[EDGE_MODULE_LABEL]}"
    labels = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return f"pods with {labels}" if labels else ""


def _redirected(was: _Reach, then: _Reach) -> Iterator[Impact]:
    where = ", ".join(then.addresses)
    if was.who and then.who and was.who != then.who:
        yield Impact("target", then.exposure, f"{then.exposure} is answered by {then.who} instead of {was.who}", where)
    for (protocol, port), target in sorted(then.targets.items()):
        before = was.targets.get((protocol, port), target)
        if before != target:
            text = f"port {port}/{protocol} of {then.exposure} reaches port {target} of the app instead of {before}"
            yield Impact("target", then.exposure, text, where)


def _next(reach: _Reach, was: _Reach | None) -> _Reach:
    """A Service that asks for no address keeps the one it has."""
    if reach.addresses or was is None or not reach.external:
        return reach
    return replace(reach, addresses=was.addresses)


def _of_one(was: _Reach | None, then: _Reach | None, all_then: Mapping[Key, _Reach]) -> Iterator[Impact]:
    if was is not None:
        yield from _lost(was, then, all_then)
    if was is not None and then is not None:
        yield from _redirected(was, then)
    if then is not None and then.external:
        yield from _opened(was, then)
    if was is not None and then is None and was.key[0]:
        name = f"{was.key[1]}.{was.key[0]}.svc.cluster.local"
        yield Impact("name", was.exposure, f"the name {name} no longer resolves in the cluster")
    if was is not None and was.hostname and (then is None or then.hostname != was.hostname):
        yield Impact("hostname", was.exposure, f"{was.hostname} loses its DNS record")


def _lost(was: _Reach, then: _Reach | None, all_then: Mapping[Key, _Reach]) -> Iterator[Impact]:
    moved = then is not None and bool(was.addresses and then.addresses) and set(was.addresses) != set(then.addresses)
    if moved and then is not None:
        where, whither = ", ".join(was.addresses), ", ".join(then.addresses)
        text = f"{was.exposure} moves from {where} to {whither}: its clients have to connect to {whither}"
        yield Impact("moves", was.exposure, text, where)
    there = set(then.endpoints()) if then is not None else set()
    others = {endpoint: reach for reach in all_then.values() for endpoint in reach.endpoints()}
    for endpoint in was.endpoints():
        if endpoint in there:
            continue
        address, protocol, port = endpoint
        text = f"{_host(address)}:{port}/{protocol}"
        if endpoint in others:
            yield Impact(
                "taken-over", was.exposure, f"{text} is answered by {others[endpoint].exposure} instead", address
            )
        else:
            yield Impact("stops", was.exposure, f"{text} stops answering for {was.audience}", address)
    if then is not None and then.external and was.addresses:
        yield from _narrowed(was, then)


def _narrowed(was: _Reach, then: _Reach) -> Iterator[Impact]:
    where = ", ".join(then.addresses)
    gone = [network for network in was.clients if not _covered(network, then.clients)]
    if then.clients and not was.clients:
        text = f"{was.exposure} answers only clients in {', '.join(then.clients)}"
        yield Impact("narrows", was.exposure, text, where)
    elif then.clients and gone:
        text = f"{was.exposure} no longer answers every client in {', '.join(gone)}"
        yield Impact("narrows", was.exposure, text, where)


def _opened(was: _Reach | None, then: _Reach) -> Iterator[Impact]:
    where = ", ".join(then.addresses)
    at = f" at {where}" if where else ""
    if then.clients:
        if was is not None and was.clients:
            new = [network for network in then.clients if not _covered(network, was.clients)]
            if new:
                yield Impact("opens", then.exposure, f"{then.exposure} also answers clients in {', '.join(new)}", where)
        return
    if was is None or not was.external or was.clients:
        yield Impact("opens", then.exposure, f"{then.exposure} is open to everyone who reaches the device{at}", where)
        return
    new_ports = [f"{port}/{protocol}" for protocol, port in then.ports if (protocol, port) not in was.ports]
    if new_ports:
        text = f"{then.exposure} opens {', '.join(new_ports)} to everyone who reaches the device{at}"
        yield Impact("opens", then.exposure, text, where)


def _networks(texts: Iterable[str], version: int) -> list[Any]:
    """The networks of one IP family, joined where they touch."""
    found: list[Any] = []
    for text in texts:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue  # written by somebody else; the device says what it makes of it
        if network.version == version:
            found.append(network)
    return list(collapse_addresses(found))


def _is_everyone(ranges: tuple[str, ...]) -> bool:
    """No restriction, or one to the whole of an IP family."""
    return not ranges or any(network.prefixlen == 0 for version in (4, 6) for network in _networks(ranges, version))


def _covered(network: str, by: tuple[str, ...]) -> bool:
    return all(
        any(part.subnet_of(other) for other in _networks(by, part.version))
        for version in (4, 6)
        for part in _networks((network,), version)
    )


def _freed(then: Mapping[Key, _Reach], next_: Mapping[Key, _Reach]) -> Iterator[Impact]:
    """Addresses that some Service gives up: who still uses them, or that others may be given them."""
    used: dict[str, list[str]] = {}
    for reach in next_.values():
        for address in reach.addresses:
            used.setdefault(address, []).append(reach.exposure)
    for key, was in sorted(then.items()):
        for address in was.addresses:
            if key in next_ and address in next_[key].addresses:
                continue
            if others := sorted(set(used.get(address, ()))):
                yield Impact("freed", was.exposure, f"{address} stays in use by {', '.join(others)}", address)
            else:
                text = f"{address} becomes free, and somebody else may be given it"
                yield Impact("freed", was.exposure, text, address)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def manifest_impact(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Impact, ...]:
    """Modules, published ports, registries and routes that go. Both map a module to its desired properties; what only
    `after` lacks as a whole (a twin that the manifest does not write) stays as it is."""
    found: list[Impact] = []
    if "$edgeAgent" in before and "$edgeAgent" in after:
        found += _agent_impact(before["$edgeAgent"], after["$edgeAgent"])
    if "$edgeHub" in before and "$edgeHub" in after:
        found += _route_impact(_section(before["$edgeHub"], "routes"), _section(after["$edgeHub"], "routes"))
    return tuple(found)


def _route_impact(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Impact]:
    """A route that only gets another name goes on."""
    for route in sorted(before.keys()):
        if route not in after and before[route] not in after.values():
            yield Impact("route", route, f"the route {route} is removed: its messages go nowhere")
        elif route in after and before[route] != after[route]:
            yield Impact("route", route, f"the route {route} changes: its messages go another way")


def _agent_impact(before: Any, after: Any) -> Iterator[Impact]:
    for module in _gone(before, after, "modules"):
        yield Impact("module", module, f"the module {module} is removed from the device")
    then = {**_section(after, "modules"), **_section(after, "systemModules")}
    for module, entry in {**_section(before, "modules"), **_section(before, "systemModules")}.items():
        for port in unpublished_ports(entry, then[module]) if module in then else ():
            yield Impact("port", module, f"the module {module} no longer publishes {port} on the device")
    settings = ("runtime", "settings", "registryCredentials")
    addresses = {_section(entry).get("address") for entry in _section(after, *settings).values()}
    for registry, entry in sorted(_section(before, *settings).items()):
        address = _section(entry).get("address", "")
        if address in addresses:
            continue
        text = f"the device forgets the credentials of the registry {registry} ({address})"
        yield Impact("registry", registry, text)


def unpublished_ports(before: Any, after: Any) -> list[str]:
    """`80/tcp (8080)`: target and published port of each entry of PortBindings that `after` lacks."""
    gone = _published(before) - _published(after)
    return [f"{target} (port {port})" if port else target for target, port in sorted(gone)]


def _published(module: Any) -> set[tuple[str, str]]:
    try:
        options = read_create_options(_section(module, "settings"))
    except CreateOptionsError:
        return set()
    bindings = _section(options, "HostConfig", "PortBindings")
    return {
        (target, str(entry.get("HostPort") or ""))
        for target, entries in bindings.items()
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping)
    }


def _gone(before: Any, after: Any, *keys: str) -> list[str]:
    return sorted(_section(before, *keys).keys() - _section(after, *keys).keys())


def _section(value: Any, *keys: str) -> Mapping[str, Any]:
    """The mapping at this path, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
