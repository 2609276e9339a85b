"""What must hold at every pause: desired = observed, no held address moved without a cause, nothing foreign touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from azure.iot.hub import IoTHubRegistryManager

from benchmarks.soak.record import Record, Service
from benchmarks.soak.world import ELSEWHERE, NAMESPACE, World, address_of
from edge_expose_module.cluster.api import SERVICES
from edge_expose_module.cluster.service import ports_text
from support.waiting import eventually

REFUSED = frozenset({"PoolExhausted", "AddressTaken", "AddressOutsideRange", "AddressRefused", "PoolNotForService"})
LIMITS = {"threads": 60, "files": 60, "MiB": 200}


class Checks:
    def __init__(self, world: World, record: Record, hub: IoTHubRegistryManager) -> None:
        self.world = world
        self.record = record
        self._hub = hub

    def problems(self) -> list[str]:
        twin = self._hub.get_module_twin(NAMESPACE, "edge-expose")
        reported, desired = twin.properties.reported, twin.properties.desired
        if reported.get("lastDesiredVersion") != desired["$version"]:
            return [f"the report is of version {reported.get('lastDesiredVersion')}, not {desired['$version']}"]
        services = {s["metadata"]["name"]: s for s in map(dict, self.world.api.list(SERVICES, NAMESPACE).items)}
        exposures, wishes = reported.get("exposures", {}), self.record.wishes
        if set(exposures) != set(wishes):
            return [f"reported {sorted(exposures)}, wanted {sorted(wishes)}"]
        found = list(self.record.violations)
        for name, wish in wishes.items():
            found.extend(self._exposure(name, wish, exposures[name], services))
        found.extend(self._apart(exposures))
        known = {n for w in wishes for n in (w, f"{w}-udp")}
        owned = {n for n, s in services.items() if "edge-expose.io/owner" in (s["metadata"].get("labels") or {})}
        found.extend(f"{name}: this Service is nobody's wish" for name in sorted(owned - known))
        for name, spec in self.record.foreign.items():
            if name not in services:
                found.append(f"foreign Service {name} is gone")
            elif services[name]["spec"]["selector"] != spec["selector"]:
                found.append(f"foreign Service {name} was touched")
        hidden = {f"{ELSEWHERE}/{s['metadata']['name']}": s for s in self.world.api.list(SERVICES, ELSEWHERE).items}
        found.extend(_held_twice({**services, **hidden}))
        return found

    def _exposure(
        self, name: str, wish: dict[str, Any], entry: dict[str, Any], services: dict[str, Service]
    ) -> list[str]:
        state, reason, address = entry["state"], entry.get("reason"), entry.get("address")
        service = services.get(name)
        assigned = address_of(service) if service is not None else ""
        if "not a port" in wish["ports"]:
            good = state == "Blocked" and reason == "InvalidExposure"
            # The form before goes on, and so does what it holds.
            return self._place(name, assigned, services) if good else [f"{name}: a broken wish is {entry}"]
        if state == "Blocked" and (reason in REFUSED or (reason == "PoolInvalid" and self._may_be_rejected)):
            good = "type" not in wish and (reason == "PoolExhausted" or "address" in wish)
            if not good or (address or "") != assigned:
                return [f"{name}: {entry}, and its Service has {assigned or 'no address'}"]
            return self._place(name, assigned, services)
        if state == "Blocked" and reason == "PortTaken" and self._is_kept(name, entry, assigned, services):
            return self._place(name, assigned, services)
        if state != "Ready":
            return [f"{name}: {entry}"]
        if service is None or service["spec"]["selector"] != {"net.azure-devices.edge.module": "idle"}:
            return [f"{name}: its Service is not as declared"]
        if service["spec"].get("sessionAffinity") != "None":
            return [f"{name}: its sessionAffinity is not as declared"]
        if (published := _published(name, services)) != _wished(wish):
            return [f"{name}: {wish['ports']} are wished, {published} published"]
        if wish.get("type") == "ClusterIP":
            return [] if address is None else [f"{name}: a ClusterIP exposure has {address}"]
        if address != assigned:
            return [f"{name}: {address} is reported, {assigned} assigned"]
        if wish.get("address", address) != address:
            return [f"{name}: pinned to {wish['address']}, has {address}"]
        if "53:8080/udp" in wish["ports"] and address_of(services.get(f"{name}-udp", {})) != address:
            return [f"{name}: its UDP twin is not at {address}"]
        return self._place(name, assigned, services)

    def _is_kept(self, name: str, entry: dict[str, Any], assigned: str, services: dict[str, Service]) -> bool:
        """Whether MetalLB refused a port that no Service has at this address. The real one, started anew, keeps what a
        Service had that is deleted in that moment."""
        wished = {ports_text([port]) for port in _wished(self.record.wishes[name])}
        refused = wished.intersection(entry["values"][0].split(", "))
        there = {other: service for other, service in services.items() if address_of(service) == assigned}
        published = {ports_text([port]) for other in there for port in _published(other, there)}
        if not self.world.restart or not assigned or entry.get("address") != assigned or refused & published:
            return False
        self.record.kept_ports.update((name, assigned, port) for port in refused)
        return bool(refused)

    def _apart(self, exposures: dict[str, dict[str, Any]]) -> list[str]:
        """Exposures of one sharing key that are at more than one address."""
        places: dict[str, dict[str, str]] = {}
        for name, wish in self.record.wishes.items():
            if "share" in wish and exposures[name]["state"] == "Ready":
                places.setdefault(wish["share"], {})[name] = exposures[name]["address"]
        return [
            f"{min(at)}: those of its sharing key are at {at}" for at in places.values() if len(set(at.values())) > 1
        ]

    @property
    def _may_be_rejected(self) -> bool:
        """Whether MetalLB may go on with other pools than those that are written; then that is told first."""
        return "broken" in self.world.extra or self.world.profile == "1.20"

    def _place(self, name: str, address: str, services: dict[str, Service]) -> list[str]:
        """Whether the exposure is where it was, or may be somewhere else."""
        before = self.record.held.get(name)
        if not self.record.may_be_at(name, address) and not self._is_given_away(str(before), services):
            return [f"{name}: moved from {before} to {address or 'nowhere'} without a cause"]
        if address:
            self.record.seen_at(name, address)
        return []

    def _is_given_away(self, address: str, services: dict[str, Service]) -> bool:
        """The load balancer gave the address to somebody else's Service while ours was deleted by hand."""
        holders = {address_of(services[name]) for name in self.record.foreign if name in services}
        taken = address in holders | self.record.given_away | set(self.record.hidden.values())
        self.record.moved_with_cause += taken
        return taken

    def footprint(self) -> dict[str, float]:
        """Of the module's process."""
        # The runtime may just be starting it again.
        process = Path(f"/proc/{eventually(lambda: self.world.local.part('module')['pid'], what='the module runs')}")
        fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return {
            "threads": int(fields["Threads"]),
            "files": len(list((process / "fd").iterdir())),
            "MiB": round(int(fields["VmRSS"].split()[0]) / 1024, 1),
        }


def _wished(wish: dict[str, Any]) -> set[tuple[str, int]]:
    return {("UDP" if port.endswith("/udp") else "TCP", int(port.partition(":")[0])) for port in wish["ports"]}


def _published(name: str, services: dict[str, Service]) -> set[tuple[str, int]]:
    pair = [services[shape] for shape in (name, f"{name}-udp") if shape in services]
    return {(port["protocol"], port["port"]) for service in pair for port in service["spec"]["ports"]}


def _held_twice(services: dict[str, Service]) -> list[str]:
    holders: dict[tuple[str, str, int], str] = {}
    found: list[str] = []
    for name, service in services.items():
        for ingress in (service.get("status", {}).get("loadBalancer", {}) or {}).get("ingress") or []:
            for port in service["spec"]["ports"]:
                key = (ingress["ip"], port["protocol"], port["port"])
                if key in holders:
                    found.append(f"{key} is held by {holders[key]} and {name}")
                holders[key] = name
    return found
