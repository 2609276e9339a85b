"""The load balancer controller: Services of type LoadBalancer get addresses as MetalLB gives them.

One pass: read the pools, take back what status says is held, then converge every Service that changed; freed
addresses and new pools make all waiting Services be tried again.
"""

from __future__ import annotations

import copy
import sys

from ..faults import Faults
from ..kinds.errors import ApiError, Document
from ..objects.recorder import Recorder
from ..objects.registry import Registry
from ..store.store import Change
from .allocator import Allocator, Claim, parse_all
from .answers import Answers, Refused
from .configuration import Configuration
from .pools import Address
from .requests import annotation, requested

_OLD = "metallb.universe.tf"
_ALLOCATED = "metallb.io/ip-allocated-from-pool"
WATCHED = frozenset({"services", "namespaces", "configmaps", "ipaddresspools.metallb.io"})


class LoadBalancer:
    """Reads and writes through the registry; state is rebuilt from status after a start."""

    def __init__(self, registry: Registry, faults: Faults) -> None:
        self._registry = registry
        self._store = registry.store
        self._profile = registry.profile
        self._legacy = not registry.profile.crd_pools
        self._faults = faults
        self._recorder = Recorder(registry.store, "metallb-controller")
        self._answers = Answers(registry.profile.metallb)
        self._allocator = Allocator(legacy=self._legacy)
        self._configuration = Configuration(registry, self._answers)
        self._queue: dict[str, None] = {}
        self._first = True
        self._store.listeners.append(self._changed)

    @property
    def config_error(self) -> str:
        """What is wrong with the configuration that is written now."""
        return self._configuration.error

    def _changed(self, change: Change) -> None:
        if change.resource == "services":
            self._queue[_key(change.obj)] = None

    def work(self) -> None:
        """Converge until nothing is left to do."""
        if self._faults.lb_stopped:
            return
        if self._configuration.read(self._allocator.set_pools):
            self._queue_all()
        if self._first:
            self._first = False
            self._queue_all()
        rounds = 0
        while self._queue and rounds < 20_000:
            rounds += 1
            key = next(iter(self._queue))
            del self._queue[key]
            if self._one(key):
                self._queue_all()

    def wake_after_stop(self) -> None:
        """Start afresh as a restarted controller does: only status is known."""
        self._allocator = Allocator(legacy=self._legacy)
        self._configuration.forget()
        self._first = True

    def _queue_all(self) -> None:
        services = self._store.all("services")
        holders = [s for s in services if (s.get("status", {}).get("loadBalancer") or {}).get("ingress")]
        for service in [*holders, *services]:
            self._queue[_key(service)] = None

    # -- one Service --------------------------------------------------------------------------------

    def _one(self, key: str) -> bool:
        """Converge one Service; tells whether all others must be tried again."""
        namespace, name = key.split("/", 1)
        before = self._store.get("services", namespace, name)
        if before is None:
            freed = self._allocator.unassign(key)
            return freed or False
        if self._configuration.in_force is None or before["spec"].get("loadBalancerClass"):
            return False
        held = self._allocator.ips(key)
        service = copy.deepcopy(before)
        self._converge(key, service)
        if service == before:
            return False
        if not self._legacy:
            for key_of_old in before["metadata"].get("annotations") or {}:
                if key_of_old.startswith(_OLD):
                    self._say(before, "deprecated-annotation", annotation=key_of_old)
        reprocess = bool(held) and not self._allocator.pool(key) and not self._legacy and self._allocator.covers(held)
        try:
            resource = self._registry.resource("services")
            self._registry.update(resource, namespace, name, service, subresource="status")
        except ApiError as error:
            print(f"load balancer: writing the status of {key} failed: {error}", file=sys.stderr, flush=True)
        return reprocess

    def _say(self, service: Document, situation: str, **values: object) -> None:
        """Record an Event in MetalLB's words."""
        meta = service["metadata"]
        names = {"namespace": meta["namespace"], "name": meta["name"]}
        self._recorder.event(service, *self._answers.event(situation, **names, **values))

    def _clear(self, key: str, service: Document) -> None:
        self._allocator.unassign(key)
        (service["metadata"].get("annotations") or {}).pop(_ALLOCATED, None)
        if not service["metadata"].get("annotations"):
            service["metadata"].pop("annotations", None)
        service.setdefault("status", {})["loadBalancer"] = {}

    def _converge(self, key: str, service: Document) -> None:
        spec = service["spec"]
        if spec.get("type") != "LoadBalancer" or (not self._legacy and not self._allocator.pools.by_name):
            self._clear(key, service)
            return
        cluster_ips = parse_all(
            [spec["clusterIP"]] if self._legacy and spec.get("clusterIP") else spec.get("clusterIPs") or []
        )
        if not cluster_ips:
            self._clear(key, service)
            return
        claim = self._claim(key, service, cluster_ips)
        ips = self._from_status(key, service, claim)
        if ips is None:
            return
        try:
            if len(ips) == 1 and claim.policy == "PreferDualStack" and not self._legacy:
                ips = self._second(key, service, claim, ips[0])
            if not ips:
                ips = list(self._allocate(key, service, claim))
                self._say(service, "address-assigned", address=ips[0], pool=self._allocator.pool(key))
        except Refused as refused:
            self._say(service, refused.situation, **refused.values)
            return
        # what MetalLB writes has no ipMode; the API defaults it, so the entry is written as it will be kept
        mode = {"ipMode": "VIP"} if self._profile.ip_mode else {}
        service["status"]["loadBalancer"] = {"ingress": [{"ip": str(ip), **mode} for ip in ips]}
        if not self._legacy:
            service["metadata"].setdefault("annotations", {})[_ALLOCATED] = self._allocator.pool(key)

    def _from_status(self, key: str, service: Document, claim: Claim) -> list[Address] | None:
        """Return the addresses that may be kept (none: clean slate), or None when this pass must end here."""
        ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
        texts = [entry["ip"] for entry in ingress if entry.get("ip")]
        ips = parse_all(texts) or []
        if not ips or (self._legacy and len(ingress) != 1):
            self._clear(key, service)
            return []
        families = {ip.version for ip in ips}
        family = "dual" if len(families) == 2 else ("ipv4" if 4 in families else "ipv6")
        if family != claim.family and not (claim.family == "dual" and claim.policy == "PreferDualStack"):
            self._clear(key, service)
            return []
        try:
            self._allocator.assign(claim, ips)
        except Refused as refused:
            if not self._legacy:
                self._say_cleared(service, ips[0], refused)
            self._clear(key, service)
            return []
        pool = annotation(service, "address-pool", legacy=self._legacy)
        if pool and self._allocator.pool(key) != pool:
            self._clear(key, service)
            ips = []
        if self._legacy:
            wanted = service["spec"].get("loadBalancerIP")
            if wanted and ips and wanted != str(ips[0]):
                self._clear(key, service)
                ips = []
            return ips
        try:
            desired = requested(service, legacy=self._legacy)
        except Refused as refused:
            self._say_invalid(service, refused)
            return None
        if desired and {str(ip) for ip in desired} != {str(ip) for ip in ips}:
            self._clear(key, service)
            ips = []
        return ips

    def _say_cleared(self, service: Document, address: Address, refused: Refused) -> None:
        """The reason stands at the end; it was recorded with an address outside the pools."""
        recorded = self._answers.reason(Refused("address-outside-pools", address=address))
        self._say_with("held-address-left-out", recorded, service, refused, address=address)

    def _say_invalid(self, service: Document, refused: Refused) -> None:
        """The same of a request that is none, while the address held stays."""
        text = refused.values.get("address", "")
        recorded = self._answers.reason(Refused("address-invalid", address=text))
        self._say_with("change-to-address-invalid", recorded, service, refused, address=text)

    def _say_with(self, situation: str, recorded: str, service: Document, refused: Refused, **values: object) -> None:
        """An Event with another reason in the place of the one that was recorded."""
        names = {"namespace": service["metadata"]["namespace"], "name": service["metadata"]["name"]}
        type_, reason, message = self._answers.event(situation, **names, **values)
        message = message.replace(recorded, self._answers.reason(refused, **names))
        self._recorder.event(service, type_, reason, message)

    def _second(self, key: str, service: Document, claim: Claim, existing: Address) -> list[Address]:
        try:
            added = self._allocator.allocate_second(claim, existing, self._allocator.pool(key))
        except Refused as refused:
            self._say(service, "address-not-added", **{"address": existing, **refused.values})
            return [existing]
        self._say(service, "address-added", address=added)
        return [existing, added]

    def _allocate(self, key: str, service: Document, claim: Claim) -> tuple[Address, ...]:
        desired = requested(service, legacy=self._legacy)
        pool = annotation(service, "address-pool", legacy=self._legacy)
        if not desired:
            return self._allocator.allocate_from(claim, pool) if pool else self._allocator.allocate(claim)
        families = {ip.version for ip in desired}
        family = "dual" if len(families) == 2 else ("ipv4" if 4 in families else "ipv6")
        if family != claim.family and len(desired) == 2:
            raise Refused("addresses-of-both-families", address=desired[0], other=desired[1])
        if family != claim.family:
            raise Refused("address-of-other-family", address=desired[0])
        self._allocator.assign(claim, desired)
        if pool and self._allocator.pool(key) != pool and not self._legacy:
            self._allocator.unassign(key)
            raise Refused("address-not-in-named-pool", address=desired[0], asked_pool=pool)
        return tuple(desired)

    def _claim(self, key: str, service: Document, cluster_ips: list[Address]) -> Claim:
        spec, meta = service["spec"], service["metadata"]
        local = spec.get("externalTrafficPolicy") == "Local"
        selector = ",".join(f"{k}={v}" for k, v in sorted((spec.get("selector") or {}).items()))
        families = {ip.version for ip in cluster_ips}
        return Claim(
            key=key,
            namespace=meta["namespace"],
            labels=tuple(sorted((meta.get("labels") or {}).items())),
            ports=tuple((p.get("protocol", "TCP"), p["port"]) for p in spec.get("ports") or []),
            sharing=annotation(service, "allow-shared-ip", legacy=self._legacy),
            backend=selector if local else "",
            family="dual" if len(families) == 2 else ("ipv4" if 4 in families else "ipv6"),
            policy=spec.get("ipFamilyPolicy") or "SingleStack",
            first_family=(spec.get("ipFamilies") or ["IPv4"])[0],
        )


def _key(service: Document) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"
