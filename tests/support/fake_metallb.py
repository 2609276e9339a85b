"""MetalLB in memory, in either version: what it gives and takes away, in words that the real one was heard to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge_expose_contract.addressing import Address, AddressSet, parse_address
from edge_expose_contract.violations import RuleError
from edge_expose_module.cluster.api import EVENTS, SERVICES
from support.fake_objects import Body, FakeObjects
from support.fake_pools import FakePool, Labels, in_order
from support.recorded import Recorded, answers

PREFIXES = ("metallb.io", "metallb.universe.tf")
HIDDEN_HOLDER = "elsewhere/holder"


class Refused(Exception):
    """An answer that is no assignment."""

    def __init__(self, answer: Recorded, **values: object) -> None:
        super().__init__(answer.id)
        self.answer = answer
        self.values = values


class FakeMetalLb:
    """`shown` are the pools as their objects say, `pools` those in force: the same, unless a configuration was
    rejected. `hidden` are addresses that somebody holds whom the module may not see."""

    def __init__(self, objects: FakeObjects, pools: Mapping[str, FakePool], *, legacy: bool) -> None:
        self._objects = objects
        self.legacy = legacy
        self.recorded = answers("metallb-0.10.3" if legacy else "metallb-0.16.1")
        self.pools: Mapping[str, FakePool] = dict(pools)
        self.shown: Mapping[str, FakePool] = dict(pools)
        self.broken: list[str] = []
        self.rejection: Body | None = None
        self.hidden: set[str] = set()
        self.hidden_ports: dict[str, set[tuple[str, int]]] = {}
        """What somebody invisible publishes at an address, under the key of those that share it."""
        self.namespace_labels: Callable[[], Mapping[str, Labels]] = dict

    # --- configuration ---

    def configure(self, pools: Mapping[str, FakePool]) -> None:
        """A sound configuration. The old version refuses one that leaves out an address which is held."""
        self.shown = dict(pools)
        if self.legacy and (lost := next(self._left_out(pools), None)) is not None:
            namespace, name = lost["metadata"]["namespace"], lost["metadata"]["name"]
            self._reject("configuration-leaves-out-held-address", namespace=namespace, name=name, address=held_by(lost))
            return
        self.pools, self.rejection = dict(pools), None
        self.settle()

    def reject(self, pools: Mapping[str, FakePool], situation: str, **values: object) -> None:
        """The objects show these pools; the load balancer does not take them, and goes on with those it has."""
        assert not self.recorded[situation].content["accepted"], f"{situation} is accepted"
        self.shown = dict(pools)
        self._reject(situation, **values)

    def _reject(self, situation: str, **values: object) -> None:
        answer = self.recorded[situation]
        self.rejection = answer.fill_all(answer.content, values)

    def configuration_state(self) -> Body:
        """The object that MetalLB 0.16 keeps of what it makes of its configuration."""
        sound = self.recorded["element-host-bits"].content["configurationState"]
        status = sound if self.rejection is None else self.rejection["configurationState"]
        meta = {"name": "controller", "namespace": "metallb-system", "resourceVersion": "1"}
        meta["labels"] = {"metallb.io/component-type": "controller"}  # type: ignore[assignment]
        return {"metadata": meta, "status": status}

    def _left_out(self, pools: Mapping[str, FakePool]) -> Iterator[Body]:
        for service in self._objects.services.values():
            address = _parsed(held_by(service))
            if address is not None and not any(pool.holds(address) for pool in pools.values()):
                yield service

    # --- Services ---

    def settle(self, changed: Body | None = None) -> None:
        """Looks at every Service, at the one that changed first: takes away what no longer fits, and gives to whoever
        waits."""
        services = self._objects.services.values()
        for service in sorted(services, key=lambda body: (body is not changed, int(body["metadata"]["uid"][4:]))):
            if service["spec"].get("type") == "LoadBalancer" and not service["spec"].get("loadBalancerClass"):
                self._converge(service)

    def _converge(self, service: Body) -> None:
        held, asked = held_by(service), asked_of(service, legacy=self.legacy)
        if held and not self.legacy and asked and _parsed(asked) is None:
            self._say(service, self.recorded["change-to-address-invalid"], address=asked)
            return  # which keeps what it has
        if held and (problem := self._problem(service, held)) is not None:
            if not self.legacy:
                self._say_cleared(service, held, problem)
            held = self._take(service)
        if held and ((asked and asked != held) or self._in_other_pool(service, held)):
            held = self._take(service)
        if not held:
            try:
                self._give(service, self._choose(service, asked))
            except Refused as refused:
                self._say(service, refused.answer, **refused.values)

    def _choose(self, service: Body, asked: str) -> str:
        """Raises Refused."""
        named = annotation(service, "address-pool", legacy=self.legacy)
        if asked:
            self._check_request(service, asked)
            if (problem := self._problem(service, asked)) is not None:
                raise problem
            if not self.legacy and named and self._pool_of(asked) != named:
                raise Refused(self.recorded["address-not-in-named-pool"], address=asked, asked_pool=named)
            return asked
        if named and named not in self.pools:
            raise Refused(self.recorded["pool-unknown"], asked_pool=named)
        meta = service["metadata"]
        labels, namespaces = meta.get("labels") or {}, self.namespace_labels()
        ordered = [(named, self.pools[named])] if named else in_order(self.pools, meta["namespace"], labels, namespaces)
        version = 6 if ":" in service["spec"]["clusterIP"] else 4
        if named and not any(part.version == version for part in self.pools[named].addresses.ranges):
            raise Refused(self.recorded["pool-of-other-family"], pool=named)
        for _, pool in ordered:
            for address in pool.addresses:
                if address.version == version and pool.holds(address) and self._taken(service, str(address)) is None:
                    if not pool.serves(meta["namespace"], labels, namespaces):
                        raise Refused(self.recorded["pool-restricted-by-namespace-pool"], pool=named)
                    return str(address)
        if named:
            raise Refused(self.recorded["pool-full"], pool=named)
        raise Refused(self.recorded["no-address-free"])

    def _check_request(self, service: Body, asked: str) -> None:
        """What can be said of a request without looking at pools. The fake's Services have one IPv4 cluster IP."""
        by_annotation = "" if self.legacy else annotation(service, "loadBalancerIPs", legacy=False)
        if by_annotation and service["spec"].get("loadBalancerIP"):
            raise Refused(self.recorded["field-and-annotation"], address=asked)
        several = [part.strip() for part in by_annotation.split(",")]
        if len(several) == 3:
            address, other, third = several
            raise Refused(self.recorded["three-addresses"], address=address, other=other, third=third)
        if len(several) == 2 and len({parse_address(part).version for part in several}) == 1:
            raise Refused(self.recorded["two-addresses-of-one-family"], address=several[0], other=several[1])
        if len(several) == 2:
            raise Refused(self.recorded["addresses-of-both-families"], address=several[0], other=several[1])
        parsed = _parsed(asked)
        if parsed is None:
            raise Refused(self.recorded["annotation-invalid" if by_annotation else "address-invalid"], address=asked)
        if parsed.version != (6 if ":" in service["spec"]["clusterIP"] else 4):
            raise Refused(self.recorded["address-of-other-family"], address=asked)

    def _problem(self, service: Body, text: str) -> Refused | None:
        """Why a Service may not have an address."""
        meta = service["metadata"]
        name = self._pool_of(text)
        if not name:
            return Refused(self.recorded["address-outside-pools"], address=text)
        if not self.pools[name].serves(meta["namespace"], meta.get("labels") or {}, self.namespace_labels()):
            return Refused(self.recorded["pool-restricted-by-namespace-address"], pool=name)
        return self._taken(service, text)

    def _taken(self, service: Body, text: str) -> Refused | None:
        """Why its holders do not let a Service share an address."""
        if text in self.hidden:
            return Refused(self.recorded["address-taken"], address=text, holder=HIDDEN_HOLDER)
        key = annotation(service, "allow-shared-ip", legacy=self.legacy)
        for other in self._objects.services.values():
            if other is service or held_by(other) != text:
                continue
            values = {"address": text, "holder": f"{other['metadata']['namespace']}/{other['metadata']['name']}"}
            holder_key = annotation(other, "allow-shared-ip", legacy=self.legacy)
            if not holder_key:
                return Refused(self.recorded["address-taken"], **values)
            if not key:
                return Refused(self.recorded["address-taken-asker-has-no-key"], **values)
            if key != holder_key:
                return Refused(self.recorded["address-taken-other-key"], key=key, holder_key=holder_key, **values)
            mine, theirs = backend_of(service), backend_of(other)
            if mine != theirs:
                answer = self.recorded["address-taken-other-backend"]
                return Refused(answer, backend=mine, holder_backend=theirs, **values)
            if common := sorted(ports_of(service) & ports_of(other)):
                protocol, port = common[0]
                return Refused(self.recorded["address-taken-same-port"], protocol=protocol, port=port, **values)
        if common := sorted(ports_of(service) & self.hidden_ports.get(text, set())):
            protocol, port = common[0]
            return Refused(self.recorded["address-taken-same-port"], protocol=protocol, port=port, address=text)
        return None

    def _pool_of(self, text: str) -> str:
        address = _parsed(text)
        return next((n for n, pool in sorted(self.pools.items()) if address and pool.holds(address)), "")

    def _in_other_pool(self, service: Body, held: str) -> bool:
        named = annotation(service, "address-pool", legacy=self.legacy)
        return bool(named) and not asked_of(service, legacy=self.legacy) and self._pool_of(held) != named

    # --- what is written ---

    def _give(self, service: Body, address: str) -> None:
        answer = self.recorded["address-assigned"]
        service["status"] = answer.fill_all(answer.content["status"], {"address": address})
        if not self.legacy:
            notes = service["metadata"].setdefault("annotations", {})
            notes["metallb.io/ip-allocated-from-pool"] = self._pool_of(address)
        for old in [] if self.legacy else [key for key in notes if key.startswith(f"{PREFIXES[1]}/")]:
            self._say(service, self.recorded["deprecated-annotation"], annotation=old)
        self._objects.put(SERVICES, service, "MODIFIED")
        self._say(service, answer, address=address)

    def _take(self, service: Body) -> str:
        service["status"] = {"loadBalancer": {}}
        (service["metadata"].get("annotations") or {}).pop("metallb.io/ip-allocated-from-pool", None)
        self._objects.put(SERVICES, service, "MODIFIED")
        return ""

    def _say_cleared(self, service: Body, held: str, problem: Refused) -> None:
        """The text holds the reason behind the address; it was recorded with an address outside the pools."""
        answer = self.recorded["held-address-left-out"]
        reason = self._reason(service, Refused(self.recorded["address-outside-pools"], address=held))
        text = answer.message(**_names(service), address=held)
        assert reason in text
        self._write(service, answer, text.replace(reason, self._reason(service, problem)))

    def _reason(self, service: Body, problem: Refused) -> str:
        """The part of a refusal after its head, which names the Service."""
        text = problem.answer.message(**_names(service), **problem.values)
        return text.partition('": ')[2]

    def _say(self, service: Body, answer: Recorded, **values: object) -> None:
        self._write(service, answer, answer.message(**_names(service), **values))

    def _write(self, service: Body, answer: Recorded, message: str) -> None:
        meta = service["metadata"]
        self._objects.events.append(
            {
                "metadata": {"namespace": meta["namespace"]},
                "involvedObject": {"kind": "Service", "namespace": meta["namespace"], "name": meta["name"]},
                "source": {"component": answer.content["source"]},
                "type": answer.content["type"],
                "reason": answer.content["reason"],
                "message": message,
                "lastTimestamp": f"{next(self._objects.numbers):08d}",
            }
        )
        self._objects.tell_of(EVENTS, meta["namespace"], "ADDED")


def _names(service: Body) -> dict[str, str]:
    return {"namespace": service["metadata"]["namespace"], "name": service["metadata"]["name"]}


def _parsed(text: str) -> Address | None:
    try:
        return parse_address(text) if text else None
    except RuleError:
        return None


def held_by(service: Mapping[str, Any]) -> str:
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return str(ingress[0]["ip"]) if ingress else ""


def annotation(service: Mapping[str, Any], name: str, *, legacy: bool) -> str:
    """The new prefix wins; the old version knows the old prefix only."""
    found = service["metadata"].get("annotations") or {}
    prefixes = PREFIXES[1:] if legacy else PREFIXES
    return str(next((found[f"{prefix}/{name}"] for prefix in prefixes if f"{prefix}/{name}" in found), ""))


def asked_of(service: Mapping[str, Any], *, legacy: bool) -> str:
    text = "" if legacy else annotation(service, "loadBalancerIPs", legacy=False)
    return text or str(service["spec"].get("loadBalancerIP") or "")


def ports_of(service: Mapping[str, Any]) -> set[tuple[str, int]]:
    return {(port.get("protocol", "TCP"), port["port"]) for port in service["spec"]["ports"]}


def backend_of(service: Mapping[str, Any]) -> str:
    if service["spec"].get("externalTrafficPolicy") != "Local":
        return ""
    return ",".join(f"{key}={value}" for key, value in sorted((service["spec"].get("selector") or {}).items()))


def whole(pools: Mapping[str, FakePool]) -> AddressSet:
    """Every address of some pools."""
    return AddressSet.of([part for pool in pools.values() for part in pool.addresses.ranges])
