"""The data path: external addresses, cluster IPs and node ports are loopback listeners that lead to pods.

What should listen is computed from Services and EndpointSlices on every change; listeners are opened and closed to
match, and accept connections while there is a pod that listens. Each connection asks for its endpoint anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..controllers import api_service
from ..controllers.endpoints import SERVICE_LABEL, SLICES
from ..kinds.errors import Document
from ..kinds.names import parse_ip
from ..objects.recorder import Recorder
from ..services.rules import RANGES_ANNOTATION
from ..store.store import Store
from .proxy import Place, TcpListener, UdpListener

WATCHED = frozenset({"services", SLICES, "pods"})
_API = (api_service.NAMESPACE, api_service.NAME)


@dataclass(frozen=True, slots=True)
class Front:
    """One address that listens."""

    ip: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Target:
    """The Service port behind a front. `external` fronts are subject to loadBalancerSourceRanges."""

    namespace: str
    name: str
    port_name: str
    external: bool


class Forwarder:
    """Keeps listeners in step with the store. `place` maps pod address, port and protocol to loopback."""

    def __init__(
        self, store: Store, address: str, place: Callable[[str, int, str], Place | None], *, allow_non_loopback: bool
    ) -> None:
        self._store = store
        self._address = address
        self._place = place
        self._anywhere = allow_non_loopback
        self._recorder = Recorder(store, "edge-expose-forwarder")
        self.api: Place | None = None
        """Where the Kubernetes API listens, for the Service of it."""
        self._open: dict[Front, TcpListener | UdpListener] = {}
        self._targets: dict[Front, Target] = {}
        self.failed: dict[Front, str] = {}
        self._turn = itertools.count()
        self._affinity: dict[tuple[str, str, str, str], tuple[Place, float]] = {}
        self._event = asyncio.Event()
        self._endpoints_seen: dict[str, str] = {}
        self._refused: set[tuple[str, str, str]] = set()

    def wake(self) -> None:
        """Ask for a pass."""
        self._event.set()

    async def run(self) -> None:
        """Follow the store until cancelled; addresses that could not be bound are tried again every 5 seconds."""
        self._store.listeners.append(lambda change: self._event.set() if change.resource in WATCHED else None)
        self._event.set()
        while True:
            try:
                async with asyncio.timeout(5.0 if self.failed else 60.0):
                    await self._event.wait()
            except TimeoutError:
                pass
            self._event.clear()
            try:
                await self._reconcile()
            except Exception as error:
                print(f"forwarder: a pass failed: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(1.0)
                self._event.set()

    def status(self) -> Document:
        """Return listeners and what could not be bound, for the control socket."""
        return {
            "listeners": [
                {
                    "ip": f.ip,
                    "port": f.port,
                    "protocol": f.protocol,
                    "service": f"{self._targets[f].namespace}/{self._targets[f].name}",
                }
                for f in sorted(self._open, key=lambda f: (f.ip, f.port, f.protocol))
                if f in self._targets
            ],
            "notBound": [
                {
                    "ip": f.ip,
                    "port": f.port,
                    "protocol": f.protocol,
                    "service": f"{self._targets[f].namespace}/{self._targets[f].name}",
                    "error": text,
                }
                for f, text in sorted(self.failed.items(), key=lambda pair: (pair[0].ip, pair[0].port))
                if f in self._targets
            ],
        }

    def close(self) -> None:
        """Close every listener."""
        for listener in self._open.values():
            listener.close()
        self._open.clear()

    def _wanted(self) -> dict[Front, Target]:
        wanted: dict[Front, Target] = {}
        for service in self._store.all("services"):
            spec, meta = service["spec"], service["metadata"]
            fronts: list[tuple[str, str]] = []
            if spec.get("type") != "ExternalName" and spec.get("clusterIP") not in (None, "", "None"):
                fronts.append((spec["clusterIP"], "port"))
            if spec.get("type") in ("NodePort", "LoadBalancer"):
                fronts.append((self._address, "nodePort"))
            external = [
                entry["ip"]
                for entry in (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
                if entry.get("ip") and spec.get("type") == "LoadBalancer"
            ]
            for ip, field in [*fronts, *((ip, "port") for ip in external)]:
                for port in spec.get("ports") or []:
                    if port.get(field) and port.get("protocol", "TCP") in ("TCP", "UDP"):
                        front = Front(ip, port[field], port.get("protocol", "TCP"))
                        wanted.setdefault(
                            front, Target(meta["namespace"], meta["name"], port.get("name", ""), ip in external)
                        )
        return wanted

    async def _reconcile(self) -> None:
        wanted = self._wanted()
        for front in list(self._open):
            if front not in wanted:
                self._open.pop(front).close()
        for front in list(self.failed):
            if front not in wanted:
                del self.failed[front]
        changed = {f for f, t in wanted.items() if self._targets.get(f) not in (None, t)}
        self._targets = wanted
        for front in changed:
            listener = self._open.get(front)
            if isinstance(listener, UdpListener):
                listener.forget_all()
        self._refresh_udp()
        slices: dict[tuple[str, str], list[Document]] = {}
        for piece in self._store.all(SLICES):
            slices.setdefault((piece["metadata"].get("namespace", ""), _service_of(piece)), []).append(piece)
        for front, target in wanted.items():
            if front not in self._open:
                await self._bind(front, target)
            listener = self._open.get(front)
            if isinstance(listener, TcpListener):
                service = self._store.get("services", target.namespace, target.name)
                known = slices.get((target.namespace, target.name), [])
                served = service is not None and self._places(service, target, front.protocol, known)
                await listener.serve(bool(served))

    def _refresh_udp(self) -> None:
        seen = {
            f"{s['metadata']['namespace']}/{s['metadata']['name']}": s["metadata"]["resourceVersion"]
            for s in self._store.all(SLICES)
        }
        if seen != self._endpoints_seen:
            self._endpoints_seen = seen
            for listener in self._open.values():
                if isinstance(listener, UdpListener):
                    listener.forget_all()

    async def _bind(self, front: Front, target: Target) -> None:
        problem = self._not_ours(front.ip)
        if not problem:
            opener = TcpListener.open if front.protocol == "TCP" else UdpListener.open
            try:
                self._open[front] = await opener(front.ip, front.port, lambda client: self._choose(front, client))
                self.failed.pop(front, None)
                return
            except OSError as error:
                problem = error.strerror or str(error)
        if (target.namespace, target.name) == _API:
            return  # port 443 is not everybody's to bind, and the API has another address
        if self.failed.get(front) != problem:
            self.failed[front] = problem
            service = self._store.get("services", target.namespace, target.name)
            if service is not None:
                message = f"cannot listen on {front.ip}:{front.port}/{front.protocol}: {problem}"
                self._recorder.event(service, "Warning", "CannotBind", message)

    def _not_ours(self, ip: str) -> str:
        address = parse_ip(ip)
        if address is None or address.version != 4:
            return "only IPv4 addresses are carried"
        if not address.is_loopback and not self._anywhere:
            return "not a loopback address (--allow-non-loopback permits others)"
        return ""

    # -- choosing -----------------------------------------------------------------------------------

    def _choose(self, front: Front, client: str) -> Place | None:
        target = self._targets.get(front)
        service = self._store.get("services", target.namespace, target.name) if target else None
        if target is None or service is None or (target.external and not _source_allowed(service, client)):
            return None
        slices = [s for s in self._store.all(SLICES, target.namespace) if _service_of(s) == target.name]
        places = self._places(service, target, front.protocol, slices)
        if not places:
            return None
        spec = service["spec"]
        if spec.get("sessionAffinity") == "ClientIP":
            seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 10800)
            key = (target.namespace, target.name, target.port_name, client)
            known = self._affinity.get(key)
            if known and known[0] in places and known[1] + seconds > time.monotonic():
                chosen = known[0]
            else:
                chosen = places[next(self._turn) % len(places)]
            if len(self._affinity) > 10_000:
                self._affinity.pop(next(iter(self._affinity)))
            self._affinity[key] = (chosen, time.monotonic())
            return chosen
        return places[next(self._turn) % len(places)]

    def _places(self, service: Document, target: Target, protocol: str, slices: list[Document]) -> list[Place]:
        """Where a port of a Service leads, whose EndpointSlices are given."""
        if (target.namespace, target.name) == _API:
            return [self.api] if self.api is not None else []
        found: list[Place] = []
        for piece in slices:
            if piece.get("addressType") != "IPv4":
                continue
            ports = [
                p["port"]
                for p in piece.get("ports") or []
                if (p.get("name") or "") == target.port_name and p.get("port")
            ]
            for endpoint in piece.get("endpoints") or []:
                if (endpoint.get("conditions") or {}).get("ready") is False:
                    continue
                for ip in endpoint.get("addresses") or []:
                    for port in ports:
                        place = self._place(ip, port, protocol)
                        if place is None:
                            self._say_unknown(service, ip, port)
                        else:
                            found.append(place)
        return list(dict.fromkeys(found))

    def _say_unknown(self, service: Document, ip: str, port: int) -> None:
        """Say once where an endpoint leads; no warning, for whoever reads those of a Service looks for refusals."""
        key = (service["metadata"]["uid"], ip, str(port))
        if key not in self._refused:
            if len(self._refused) > 4096:
                self._refused.clear()
            self._refused.add(key)
            pod = next((pod for pod in self._store.all("pods") if pod.get("status", {}).get("podIP") == ip), None)
            if pod is None:
                message = f"endpoint {ip}:{port} is no pod of this cluster, and nothing outside it is dialled"
                self._recorder.event(service, "Normal", "EndpointNotLocal", message)
            elif self._place(ip, port, "") is None:
                self._recorder.event(service, "Normal", "EndpointNotServed", _why_not(pod, ip, port))
            else:
                self._refused.discard(key)  # its process may well listen in a moment


def _service_of(piece: Document) -> str:
    """The name of the Service that an EndpointSlice belongs to."""
    return str((piece["metadata"].get("labels") or {}).get(SERVICE_LABEL, ""))


def _why_not(pod: Document, ip: str, port: int) -> str:
    """Why a pod of this cluster has nothing that answers on a port."""
    declared = [
        str(item["containerPort"])
        for container in pod["spec"].get("containers") or []
        for item in container.get("ports") or []
    ]
    where = f"endpoint {ip}:{port} is pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    if str(port) in declared:
        return f"{where}, of which no process runs here"
    return f"{where}, which does not listen on {port} but on {', '.join(declared) or 'no port'}"


def _source_allowed(service: Document, client: str) -> bool:
    annotation = (service["metadata"].get("annotations") or {}).get(RANGES_ANNOTATION, "")
    ranges = service["spec"].get("loadBalancerSourceRanges") or [r for r in annotation.split(",") if r.strip()]
    if not ranges:
        return True
    address = ipaddress.ip_address(client)
    for text in ranges:
        try:
            if address in ipaddress.ip_network(text.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
