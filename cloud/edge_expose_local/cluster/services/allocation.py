"""Cluster IPs and node ports: which are taken is read from the Services, nothing is kept beside them."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable

from ..kinds import names
from ..kinds.errors import ApiError, Cause, Document, invalid
from ..kinds.field_errors import many, wrong
from ..kinds.profiles import Profile
from ..store.store import Store
from .defaults import has_cluster_ip, has_node_ports
from .rules import is_headless, needs_health_check

NODE_PORTS = range(30000, 32768)


class ServiceAllocator:
    """Gives Services what the API server allocates. `usable` tells whether a node port can be bound here."""

    def __init__(self, store: Store, cidr: str, profile: Profile, usable: Callable[[int], bool]) -> None:
        self._store = store
        self._network = ipaddress.IPv4Network(cidr)
        self._cidr = str(self._network)
        self._profile = profile
        self._usable = usable

    def complete(self, service: Document) -> None:
        """Allocate what is missing in place; raises 422 when a stated value is out of range or taken."""
        spec = service["spec"]
        meta = service["metadata"]
        key = (meta["namespace"], meta["name"])
        errors: list[Cause] = []
        if has_cluster_ip(spec):
            errors += self._families(spec)
            if not errors and not is_headless(spec):
                errors += self._cluster_ip(spec, key)
        if not errors and (has_node_ports(spec) or any(p.get("nodePort") for p in spec.get("ports") or [])):
            errors += self._node_ports(spec, key)
        if not errors and needs_health_check(spec):
            errors += self._health_port(spec, key)
        if errors:
            raise invalid("", "Service", meta["name"], errors)

    def _families(self, spec: Document) -> list[Cause]:
        if not self._profile.modern_service_fields:
            return []
        families = spec.get("ipFamilies") or []
        if spec.get("ipFamilyPolicy") == "RequireDualStack":
            why = "this cluster is not configured for dual-stack services"
            return [wrong("spec.ipFamilyPolicy", "RequireDualStack", why)]
        if len(families) > 1 and spec.get("ipFamilyPolicy") != "PreferDualStack":
            return [wrong("spec.ipFamilies", families, "may only hold up to 1 value")]
        if families and families[0] == "IPv6":
            why = "not configured on this cluster"
            return [wrong("spec.ipFamilies[0]", "IPv6", why)]
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec["ipFamilies"] = ["IPv4"]
        return []

    def _others(self, key: tuple[str, str]) -> list[Document]:
        found = self._store.all("services")
        return [s["spec"] for s in found if (s["metadata"]["namespace"], s["metadata"]["name"]) != key]

    def _cluster_ip(self, spec: Document, key: tuple[str, str]) -> list[Cause]:
        taken = {ip for other in self._others(key) for ip in other.get("clusterIPs") or []}
        stated = spec.get("clusterIP")
        if stated:
            why = ""
            address = names.parse_ip(stated)
            if address is None or address not in self._network:
                why = f"provided IP is not in the valid range. The range of valid IPs is {self._cidr}"
                if self._profile.modern_service_fields:
                    why = (
                        f"the provided IP ({stated}) is not in the valid range. The range of valid IPs is {self._cidr}"
                    )
            elif stated in taken:
                why = "provided IP is already allocated"
            if not why:
                spec["clusterIPs"] = spec.get("clusterIPs") or [stated]
                return []
            text = f"failed to allocated ip:{stated} with error:{why}"
            if self._profile.modern_service_fields:
                text = f"failed to allocate IP {stated}: {why}"
            return [wrong("spec.clusterIPs", many([stated], self._profile), text)]
        first, last = int(self._network.network_address) + 1, int(self._network.broadcast_address) - 1
        for _ in range(64):
            chosen = str(ipaddress.IPv4Address(random.randint(first, last)))  # noqa: S311 - no secret
            if chosen not in taken and not chosen.endswith((".0", ".255")):
                break
        else:
            free = (str(ipaddress.IPv4Address(n)) for n in range(first, last + 1))
            chosen = next((ip for ip in free if ip not in taken), "")
        if not chosen:
            whose = f' for Service "{key[1]}"' if self._profile.modern_service_fields else ""
            raise _full(f"failed to allocate a serviceIP{whose}: range is full")
        spec["clusterIP"] = chosen
        spec["clusterIPs"] = [chosen]
        return []

    def _taken_ports(self, key: tuple[str, str]) -> dict[int, set[str]]:
        taken: dict[int, set[str]] = {}
        for other in self._others(key):
            for port in other.get("ports") or []:
                if port.get("nodePort"):
                    taken.setdefault(port["nodePort"], set()).add(port.get("protocol", "TCP"))
            if other.get("healthCheckNodePort"):
                taken.setdefault(other["healthCheckNodePort"], set()).add("TCP")
        return taken

    def _free_port(self, taken: dict[int, set[str]]) -> int:
        fallback = 0
        for candidate in random.sample(NODE_PORTS, len(NODE_PORTS)):
            if candidate in taken:
                continue
            if self._usable(candidate):
                return candidate
            fallback = fallback or candidate
        if fallback:
            return fallback
        raise _full("failed to allocate a nodePort: range is full")

    def _node_ports(self, spec: Document, key: tuple[str, str]) -> list[Cause]:
        errors: list[Cause] = []
        taken = self._taken_ports(key)
        ports = spec.get("ports") or []
        own = {port["nodePort"] for port in ports if port.get("nodePort")}
        for i, port in enumerate(ports):
            stated = port.get("nodePort")
            if stated:
                why = ""
                if stated not in NODE_PORTS:
                    why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
                elif stated in taken:
                    why = "provided port is already allocated"
                if why:
                    errors.append(wrong(f"spec.ports[{i}].nodePort", stated, why))
            elif has_node_ports(spec):
                # one port number under two protocols shares one node port, as the real allocator does
                twin = next(
                    (
                        p["nodePort"]
                        for p in ports[:i]
                        if p.get("port") == port["port"]
                        and p.get("protocol") != port.get("protocol")
                        and p.get("nodePort")
                    ),
                    0,
                )
                port["nodePort"] = twin or self._free_port({**taken, **{port: set() for port in own}})
                own.add(port["nodePort"])
        return errors

    def _health_port(self, spec: Document, key: tuple[str, str]) -> list[Cause]:
        taken = self._taken_ports(key)
        own = {port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort")}
        stated = spec.get("healthCheckNodePort")
        if not stated:
            spec["healthCheckNodePort"] = self._free_port({**taken, **{port: set() for port in own}})
            return []
        if stated in taken or stated in own:
            why = "provided port is already allocated"
            return [
                wrong(
                    "spec.healthCheckNodePort",
                    stated,
                    f"failed to allocate requested HealthCheck NodePort {stated}: {why}",
                )
            ]
        return []


def _full(why: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]})
