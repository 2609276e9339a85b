"""What a change means for those who use the device: what moves, what stops answering and for whom, what opens. Pure.

Services are compared as Kubernetes objects, so that it does not matter whether our module or edgeAgent makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.plan.clients import EVERYONE, is_covered, is_everyone
from edge_expose_cloud.plan.model import Impact
from edge_expose_cloud.plan.service_forecast import SHARE_ANNOTATION, addresses_asked
from edge_expose_contract.identity import EDGE_MODULE_LABEL, HOSTNAME_ANNOTATION, LABEL_EXPOSURE

SOMEWHERE: Final = ""

Key = tuple[str, str]
Endpoint = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Reach:
    """How one Service can be reached: at which addresses and ports, and by whom ("everyone", or networks).

    `anywhere` is set where it has an address that only the device knows, and `elsewhere` where it will get another one
    than it has.
    """

    key: Key
    exposure: str
    addresses: tuple[str, ...]
    anywhere: bool
    ports: tuple[tuple[str, int], ...]
    clients: tuple[str, ...]
    external: bool
    hostname: str
    who: str
    targets: Mapping[tuple[str, int], str]
    fixed: tuple[str, str]
    share: str
    elsewhere: bool = False

    @property
    def audience(self) -> str:
        return f"clients in {', '.join(self.clients)}" if self.clients else EVERYONE

    @property
    def name(self) -> str:
        """Inside the cluster; "" where the namespace is not known."""
        return f"{self.key[1]}.{self.key[0]}.svc.cluster.local" if self.key[0] else ""

    def endpoints(self) -> Iterator[Endpoint]:
        for address in self.addresses or ((SOMEWHERE,) if self.anywhere else ()):
            for protocol, port in self.ports:
                yield address, protocol, port


def service_impact(
    before: Mapping[Key, Json], after: Mapping[Key, Json], held: Mapping[str, str] | None = None
) -> tuple[Impact, ...]:
    """`held` maps an exposure to the addresses that it holds now, as reported ("" for none); one that is not reported
    holds what it asks for. Without `held` (many devices, or `driver: manifest`) a Service that asks for no address has
    one that is not known. A Service that stays as it is is no part of the change, whatever is going on with it."""
    touched = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    then = {key: _reach(key, service, held) for key, service in before.items()}
    become = _successors(before, after)
    next_ = {key: _reach(key, service, None, unknown=held is None) for key, service in after.items()}
    next_ = {**next_, **{new: _keeping(next_[new], then[old]) for old, new in become.items()}}
    next_ = {key: _regrouped(reach, then.get(key), next_) for key, reach in next_.items()}
    pairs = {key: (then[key], next_.get(become.get(key, key))) for key in then}
    fresh = [reach for key, reach in next_.items() if key not in become.values()]
    found: list[Impact] = []
    for key, (was, now) in sorted(pairs.items()):
        if key in touched:
            found += _of_changed(was, now, next_)
    known = {reach.exposure: reach for reach in then.values() if reach.external}
    for reach in sorted(fresh, key=lambda one: one.key):
        found += _opened(known.get(reach.exposure), reach)
        if reach.hostname and reach.hostname not in {other.hostname for other in then.values()}:
            found.append(Impact("hostname", reach.exposure, f"{reach.hostname} gets a DNS record"))
    found += _freed([pairs[key] for key in sorted(pairs) if key in touched], next_)
    return tuple(dict.fromkeys(found))


def _successors(before: Mapping[Key, Json], after: Mapping[Key, Json]) -> dict[Key, Key]:
    """Which Service each one becomes: itself, or the one of its name in another namespace."""
    found = {key: key for key in before.keys() & after.keys()}
    new: dict[str, list[Key]] = {}
    for key in sorted(after.keys() - before.keys()):
        new.setdefault(key[1], []).append(key)
    for key in sorted(before.keys() - after.keys()):
        if candidates := new.get(key[1]):
            found[key] = candidates.pop(0)
    return found


def _reach(key: Key, service: Json, held: Mapping[str, str] | None, *, unknown: bool = True) -> _Reach:
    spec, metadata = service.get("spec") or {}, service["metadata"]
    exposure = (metadata.get("labels") or {}).get(LABEL_EXPOSURE) or key[1]
    external = spec.get("type") == "LoadBalancer"
    text = addresses_asked(service) if held is None or exposure not in held else held[exposure]
    addresses = tuple(part.strip() for part in text.split(",") if part.strip()) if external else ()
    ports = spec.get("ports") or ()
    return _Reach(
        key=key,
        exposure=exposure,
        addresses=addresses,
        anywhere=external and held is None and unknown and not addresses,
        ports=tuple((str(port.get("protocol", "TCP")).lower(), port["port"]) for port in ports),
        clients=() if is_everyone(ranges := tuple(spec.get("loadBalancerSourceRanges") or ())) else ranges,
        external=external,
        hostname=str((metadata.get("annotations") or {}).get(HOSTNAME_ANNOTATION) or ""),
        who=_who(spec),
        targets={
            (str(port.get("protocol", "TCP")).lower(), port["port"]): str(port.get("targetPort", port["port"]))
            for port in ports
        },
        share=str((metadata.get("annotations") or {}).get(SHARE_ANNOTATION) or ""),
        fixed=(str(spec.get("loadBalancerClass") or ""), str((spec.get("ipFamilies") or [""])[0])),
    )


def _who(spec: Mapping[str, Any]) -> str:
    """`the module web`, the pods by their labels, or addresses beside the cluster; "" where nothing is known of it."""
    selector = spec.get("selector") or {}
    if not selector:
        return "addresses beside the cluster" if spec.get("ports") else ""
    if EDGE_MODULE_LABEL in selector:
        return f"the module {selector[EDGE_MODULE_LABEL]}"
    labels = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return f"pods with {labels}" if labels else ""


def _keeping(reach: _Reach, was: _Reach) -> _Reach:
    """A Service that asks for no address keeps the one it has."""
    if reach.addresses or not reach.external:
        return reach
    return replace(reach, addresses=was.addresses, anywhere=was.anywhere)


def _regrouped(reach: _Reach, was: _Reach | None, all_then: Mapping[Key, _Reach]) -> _Reach:
    """Who leaves others at a shared address gets another one; who joins others gets theirs."""
    if was is None or reach.share == was.share or not reach.external:
        return reach
    others = [other for other in all_then.values() if other.exposure != reach.exposure and other.external]
    theirs = next((other.addresses for other in others if reach.share and other.share == reach.share), ())
    if theirs and theirs != reach.addresses:
        return replace(reach, addresses=theirs)
    stay = any(other.share == was.share and set(other.addresses) & set(was.addresses) for other in others if was.share)
    if stay and reach.addresses == was.addresses:
        return replace(reach, addresses=(), elsewhere=True)
    return reach


def _of_changed(was: _Reach, then: _Reach | None, all_then: Mapping[Key, _Reach]) -> Iterator[Impact]:
    yield from _lost(was, then, all_then)
    if then is not None:
        yield from _made_anew(was, then)
        yield from _redirected(was, then)
        yield from _opened(was, then)
    if was.name and (then is None or then.key != was.key):
        text = f"the name {was.name} no longer resolves in the cluster"
        yield Impact("name", was.exposure, text + (f"; {then.name} does" if then is not None else ""))
    carried = {other.hostname for other in all_then.values()}
    if was.hostname and was.hostname not in carried:
        yield Impact("hostname", was.exposure, f"{was.hostname} loses its DNS record")
    if then is not None and then.hostname and then.hostname != was.hostname:
        yield Impact("hostname", then.exposure, f"{then.hostname} gets a DNS record")


def _made_anew(was: _Reach, then: _Reach) -> Iterator[Impact]:
    """What Kubernetes cannot change in place is deleted and made again."""
    class_changes = was.external and then.external and was.fixed[0] != then.fixed[0]
    family_changes = was.fixed[1] and then.fixed[1] and was.fixed[1] != then.fixed[1]
    if was.key[0] != then.key[0] or class_changes or family_changes:
        text = f"the Service {then.key[1]} is deleted and made again: open connections break"
        yield Impact("recreated", then.exposure, text, ", ".join(then.addresses))


def _redirected(was: _Reach, then: _Reach) -> Iterator[Impact]:
    where = ", ".join(then.addresses)
    if was.who and then.who and was.who != then.who:
        yield Impact("target", then.exposure, f"{then.exposure} is answered by {then.who} instead of {was.who}", where)
    for (protocol, port), target in sorted(then.targets.items()):
        before = was.targets.get((protocol, port), target)
        if before != target:
            text = f"port {port}/{protocol} of {then.exposure} reaches port {target} of the app instead of {before}"
            yield Impact("target", then.exposure, text, where)


def _lost(was: _Reach, then: _Reach | None, all_then: Mapping[Key, _Reach]) -> Iterator[Impact]:
    whither = ", ".join(then.addresses) if then is not None else ""
    if then is not None and was.anywhere and then.addresses:
        text = f"{was.exposure} moves to {whither} wherever it has another address: its clients have to connect there"
        yield Impact("moves", was.exposure, text, whither)
        then = replace(then, addresses=(), anywhere=True)  # only its ports are left to compare
    elif then is not None and was.addresses and then.addresses and set(was.addresses) != set(then.addresses):
        where = ", ".join(was.addresses)
        text = f"{was.exposure} moves from {where} to {whither}: its clients have to connect to {whither}"
        yield Impact("moves", was.exposure, text, where)
    elif then is not None and then.elsewhere and was.addresses:
        text = f"{was.exposure} moves from {', '.join(was.addresses)}, which others keep, to an address that the device"
        yield Impact("moves", was.exposure, f"{text} chooses: its clients have to connect there", was.addresses[0])
    there = set(then.endpoints()) if then is not None else set()
    others = {endpoint: reach for reach in all_then.values() for endpoint in reach.endpoints() if endpoint[0]}
    for endpoint in was.endpoints():
        if endpoint in there:
            continue
        text, address = _endpoint_text(endpoint, was.exposure), endpoint[0]
        if endpoint in others:
            by = others[endpoint].exposure
            yield Impact("taken-over", was.exposure, f"{text} is answered by {by} instead", address)
        else:
            yield Impact("stops", was.exposure, f"{text} stops answering for {was.audience}", address)
    if then is not None and not was.external:
        for protocol, port in was.ports:
            if (protocol, port) not in then.ports:
                text = f"port {port}/{protocol} of {was.exposure} stops answering inside the cluster"
                yield Impact("stops", was.exposure, text)
    if then is not None and then.external and (was.addresses or was.anywhere):
        yield from _narrowed(was, then)


def _endpoint_text(endpoint: Endpoint, exposure: str) -> str:
    address, protocol, port = endpoint
    return f"{_host(address)}:{port}/{protocol}" if address else f"port {port}/{protocol} of {exposure}"


def _narrowed(was: _Reach, then: _Reach) -> Iterator[Impact]:
    where = ", ".join(then.addresses)
    gone = [network for network in was.clients if not is_covered(network, then.clients)]
    if then.clients and not was.clients:
        text = f"{was.exposure} answers only clients in {', '.join(then.clients)}"
        yield Impact("narrows", was.exposure, text, where)
    elif then.clients and gone:
        text = f"{was.exposure} no longer answers every client in {', '.join(gone)}"
        yield Impact("narrows", was.exposure, text, where)


def _opened(was: _Reach | None, then: _Reach) -> Iterator[Impact]:
    if not then.external:
        return
    where = ", ".join(then.addresses)
    at = f" at {where}" if where else ""
    if then.clients:
        if was is not None and was.clients:
            new = [network for network in then.clients if not is_covered(network, was.clients)]
            if new:
                yield Impact("opens", then.exposure, f"{then.exposure} also answers clients in {', '.join(new)}", where)
        return
    if was is None or not was.external or was.clients:
        yield Impact("opens", then.exposure, f"{then.exposure} is open to everyone who reaches the device{at}", where)
        return
    here = was.ports if was.key == then.key or was.key[1] == then.key[1] else ()
    new_ports = [f"{port}/{protocol}" for protocol, port in then.ports if (protocol, port) not in here]
    if new_ports:
        text = f"{then.exposure} opens {', '.join(new_ports)} to everyone who reaches the device{at}"
        yield Impact("opens", then.exposure, text, where)


def _freed(changed: Iterable[tuple[_Reach, _Reach | None]], next_: Mapping[Key, _Reach]) -> Iterator[Impact]:
    """Addresses that some Service gives up: who still uses them, or that others may be given them."""
    used: dict[str, list[str]] = {}
    for reach in next_.values():
        for address in reach.addresses:
            used.setdefault(address, []).append(reach.exposure)
    for was, then in changed:
        for address in was.addresses:
            if then is not None and address in then.addresses:
                continue
            if others := sorted(set(used.get(address, ()))):
                yield Impact("freed", was.exposure, f"{address} stays in use by {', '.join(others)}", address)
            else:
                text = f"{address} is released and may be assigned to another Service"
                yield Impact("freed", was.exposure, text, address)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
