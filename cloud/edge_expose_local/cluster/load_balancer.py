"""The load balancer controller: Services of type LoadBalancer get addresses as MetalLB gives them.

One pass: read the pools, take back what status says is held, then converge every Service that changed; freed
addresses and new pools make all waiting Services be tried again.
"""

from __future__ import annotations

import copy
import sys

from .errors import ApiError, Document
from .faults import Faults
from .lb_allocator import Allocator, Claim, Refused, go_list, parse_all
from .pools import Address, ConfigError, Pools, parse_config_map, parse_objects
from .recorder import Recorder
from .registry import Registry
from .store import Change

NAMESPACE = "metallb-system"
_NEW, _OLD = "metallb.io", "metallb.universe.tf"
_ALLOCATED = f"{_NEW}/ip-allocated-from-pool"
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
        self._allocator = Allocator(legacy=self._legacy)
        self._configured = False
        self._config_text: object = None
        self.config_error = ""
        self._queue: dict[str, None] = {}
        self._first = True
        self._store.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource == "services":
            self._queue[_key(change.obj)] = None

    def work(self) -> None:
        """Converge until nothing is left to do."""
        if self._faults.lb_stopped:
            return
        if self._configure():
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
                self._configure()
                self._queue_all()

    def wake_after_stop(self) -> None:
        """Start afresh as a restarted controller does: only status is known."""
        self._allocator = Allocator(legacy=self._legacy)
        self._configured, self._config_text, self._first = False, None, True

    def _queue_all(self) -> None:
        services = self._store.all("services")
        holders = [s for s in services if (s.get("status", {}).get("loadBalancer") or {}).get("ingress")]
        for service in [*holders, *services]:
            self._queue[_key(service)] = None

    # -- configuration ------------------------------------------------------------------------------

    def _read(self) -> Pools | None:
        if self._legacy:
            found = self._store.get("configmaps", NAMESPACE, "config")
            return parse_config_map((found.get("data") or {}).get("config", "")) if found else None
        namespaces = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in self._store.all("namespaces")}
        return parse_objects(self._store.all("ipaddresspools.metallb.io", NAMESPACE), namespaces)

    def _configure(self) -> bool:
        """Take over a changed configuration; tells whether Services must be looked at again."""
        try:
            pools = self._read()
            if pools is None:
                self.config_error = "no MetalLB configuration in cluster"
                return False
            if self._configured and pools == self._config_text:
                return False
            self._allocator.set_pools(pools)
        except (ConfigError, Refused) as error:
            if str(error) != self.config_error:
                print(f"load balancer: failed to parse the configuration: {error}", file=sys.stderr, flush=True)
            self.config_error = str(error)
            return False
        self.config_error = ""
        self._config_text, self._configured = pools, True
        return True

    # -- one Service --------------------------------------------------------------------------------

    def _one(self, key: str) -> bool:
        """Converge one Service; tells whether all others must be tried again."""
        namespace, name = key.split("/", 1)
        before = self._store.get("services", namespace, name)
        if before is None:
            freed = self._allocator.unassign(key)
            return freed or False
        if not self._configured or before["spec"].get("loadBalancerClass"):
            return False
        held = self._allocator.ips(key)
        service = copy.deepcopy(before)
        self._converge(key, service)
        if service == before:
            return False
        if not self._legacy:
            for annotation in before["metadata"].get("annotations") or {}:
                if annotation.startswith(_OLD):
                    message = f"Service uses deprecated annotation {annotation}"
                    self._recorder.event(before, "Warning", "deprecatedAnnotation", message)
        reprocess = bool(held) and not self._allocator.pool(key) and not self._legacy and self._allocator.covers(held)
        try:
            resource = self._registry.resource("services")
            self._registry.update(resource, namespace, name, service, subresource="status")
        except ApiError as error:
            print(f"load balancer: writing the status of {key} failed: {error}", file=sys.stderr, flush=True)
        return reprocess

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
        if claim.policy == "RequireDualStack" and len(cluster_ips) < 2:
            shown = "[" + " ".join(map(str, cluster_ips)) + "]"
            message = f"Service requires dual stack but not enough clusterips {shown}"
            self._recorder.event(service, "Warning", "not enough clusterips", message)
            self._clear(key, service)
            return
        ips = self._from_status(key, service, claim)
        if ips is None:
            return
        try:
            if len(ips) == 1 and claim.policy == "PreferDualStack" and not self._legacy:
                ips = self._second(key, service, claim, ips[0])
            if not ips:
                ips = list(self._allocate(key, service, claim))
                shown = f'"{ips[0]}"' if self._legacy else go_list(ips)
                self._recorder.event(service, "Normal", "IPAllocated", f"Assigned IP {shown}")
        except Refused as refusal:
            message = f'Failed to allocate IP for "{key}": {refusal}'
            self._recorder.event(service, "Warning", "AllocationFailed", message)
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
        except Refused as refusal:
            if not self._legacy:
                message = f'current IP for "{key}" not allowed by config, will attempt for new IP assignment: {refusal}'
                self._recorder.event(service, "Normal", "ClearAssignment", message)
            self._clear(key, service)
            return []
        pool = self._annotation(service, "address-pool")
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
            desired = self._desired(service)
        except Refused as refusal:
            message = f"invalid requested loadbalancer IPs: {refusal}"
            self._recorder.event(service, "Warning", "LoadBalancerFailed", message)
            return None
        if desired and {str(ip) for ip in desired} != {str(ip) for ip in ips}:
            self._clear(key, service)
            ips = []
        return ips

    def _second(self, key: str, service: Document, claim: Claim, existing: Address) -> list[Address]:
        try:
            added = self._allocator.allocate_second(claim, existing, self._allocator.pool(key))
        except Refused as refusal:
            message = f"cannot assign additional IP in PreferDualStack: {refusal}"
            self._recorder.event(service, "Normal", "AdditionalAssignFailed", message)
            return [existing]
        self._recorder.event(service, "Normal", "IPAllocated", f'Assigned additional IP "{added}"')
        return [existing, added]

    def _allocate(self, key: str, service: Document, claim: Claim) -> tuple[Address, ...]:
        desired = self._desired(service)
        pool = self._annotation(service, "address-pool")
        if desired:
            families = {ip.version for ip in desired}
            family = "dual" if len(families) == 2 else ("ipv4" if 4 in families else "ipv6")
            if family != claim.family:
                if self._legacy:
                    raise Refused(
                        f'requested spec.loadBalancerIP "{desired[0]}" does not match the ipFamily of the service'
                    )
                raise Refused(
                    f"requested loadBalancer IP(s) {go_list(desired)} does not match the ipFamily of the service"
                )
            self._allocator.assign(claim, desired)
            if pool and self._allocator.pool(key) != pool and not self._legacy:
                self._allocator.unassign(key)
                raise Refused(
                    f"requested loadBalancer IP(s) {go_list(desired)} "
                    f"is not compatible with requested address pool {pool}"
                )
            return tuple(desired)
        return self._allocator.allocate_from(claim, pool) if pool else self._allocator.allocate(claim)

    def _annotation(self, service: Document, name: str) -> str:
        annotations = service["metadata"].get("annotations") or {}
        if not self._legacy and f"{_NEW}/{name}" in annotations:
            return str(annotations[f"{_NEW}/{name}"])
        return str(annotations.get(f"{_OLD}/{name}", ""))

    def _desired(self, service: Document) -> list[Address]:
        field = service["spec"].get("loadBalancerIP") or ""
        text = "" if self._legacy else self._annotation(service, "loadBalancerIPs")
        if field and text:
            raise Refused(f"service can not have both {_NEW}/loadBalancerIPs and svc.Spec.LoadBalancerIP")
        if text:
            found = parse_all([part.strip() for part in text.split(",")])
            if found is None:
                raise Refused(f'invalid {_NEW}/loadBalancerIPs: "{text}"')
            if len(found) > 2 or (len(found) == 2 and found[0].version == found[1].version):
                same = (
                    f"same address family {go_list(found)}"
                    if len(found) == 2
                    else f"invalid ips length {len(found)} {go_list(found)}"
                )
                raise Refused(same)
            return found
        found = parse_all([field] if field else [])
        if found is None:
            raise Refused(f'invalid spec.loadBalancerIP "{field}"')
        return found

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
            sharing=self._annotation(service, "allow-shared-ip"),
            backend=selector if local else "",
            family="dual" if len(families) == 2 else ("ipv4" if 4 in families else "ipv6"),
            policy=spec.get("ipFamilyPolicy") or "SingleStack",
            first_family=(spec.get("ipFamilies") or ["IPv4"])[0],
        )


def _key(service: Document) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"
