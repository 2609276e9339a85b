"""The composition root: store, API, controllers, data path and names of one cluster, started and ended together."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from ..control_socket import remove_control_socket
from ..http.server import HttpServer
from ..sockets import tcp_socket
from .access.certs import server_context
from .access.rbac import Authorizer
from .access.tokens import Tokens
from .api.server import Api
from .control.bootstrap import furnish, write_kubeconfig
from .control.control import Control, serve_control
from .controllers.api_service import WATCHED as API_SERVICE_WATCHED
from .controllers.api_service import ApiService
from .controllers.deployments import WATCHED as DEPLOYMENTS_WATCHED
from .controllers.deployments import DeploymentController
from .controllers.endpoints import WATCHED as ENDPOINTS_WATCHED
from .controllers.endpoints import EndpointsController
from .controllers.garbage import WATCHED as GARBAGE_WATCHED
from .controllers.garbage import GarbageCollector
from .controllers.namespaces import WATCHED as NAMESPACE_WATCHED
from .controllers.namespaces import NamespaceController
from .controllers.replicasets import WATCHED as SETS_WATCHED
from .controllers.replicasets import ReplicaSetController
from .datapath.dns_server import DnsServer, Names
from .datapath.forwarder import Forwarder
from .faults import Faults
from .kinds.errors import Document
from .kinds.profiles import Profile
from .kinds.resources import served_resources
from .kubelet.kubelet import WATCHED as KUBELET_WATCHED
from .kubelet.kubelet import Kubelet
from .metallb.load_balancer import WATCHED as LB_WATCHED
from .metallb.load_balancer import LoadBalancer
from .objects.registry import Registry
from .services.allocation import ServiceAllocator
from .store.loop import Loop
from .store.store import Store


@dataclass(frozen=True, slots=True)
class Settings:
    """How a cluster is started. Port 0 picks a free one."""

    state: Path
    address: str
    kube_port: int
    dns_port: int
    pool: str
    service_cidr: str
    pod_cidr: str
    profile: Profile
    allow_non_loopback: bool


class Cluster:
    """One running cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        state = settings.state
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store = Store(state / "objects.db")
        self._faults = Faults()
        allocator = ServiceAllocator(self.store, settings.service_cidr, settings.profile, self._usable)
        self.registry = Registry(self.store, settings.profile, served_resources(settings.profile), allocator)
        self._tokens = Tokens(state, self.store)
        self._service_ip = str(ipaddress.IPv4Network(settings.service_cidr)[1])
        self._tls: ssl.SSLContext = server_context(state, settings.address, self._service_ip)
        self._ca = (state / "ca.pem").read_bytes()
        self._kube_port = settings.kube_port
        self._dns_port = 0
        self._kubelet = Kubelet(
            self.registry, state / "pods", settings.address, settings.pod_cidr, self._faults, self._pod_environment
        )
        self._forwarder = Forwarder(
            self.store, settings.address, self._kubelet.place, allow_non_loopback=settings.allow_non_loopback
        )
        self._kubelet.moved = self._forwarder.wake
        self._load_balancer = LoadBalancer(self.registry, self._faults)
        kubelet, rights = self._kubelet, Authorizer(self.store)
        self._api = Api(self.registry, rights, self._tokens, self._faults, kubelet.logs, kubelet.port_forward)
        self._server = HttpServer(self._api.handle)
        self._dns = DnsServer(Names(self.store))
        self._control: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._down: asyncio.Task[None] | None = None
        self._started = time.time()
        self._lb_loop: Loop | None = None

    def _usable(self, port: int) -> bool:
        """Tell whether a node port can be bound for TCP and UDP on our address."""
        try:
            with (
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            ):
                tcp.bind((self._settings.address, port))
                udp.bind((self._settings.address, port))
        except OSError:
            return False
        return True

    def _pod_environment(self, namespace: str) -> dict[str, str]:
        return {
            "EDGE_EXPOSE_DNS": f"{self._settings.address}:{self._dns_port}",
            "EDGE_EXPOSE_DNS_SEARCH": f"{namespace}.svc.cluster.local svc.cluster.local cluster.local",
        }

    async def start(self) -> dict[str, int]:
        """Start everything; returns the ports. Raises OSError when a port is taken."""
        settings = self._settings
        listening = tcp_socket(settings.address, settings.kube_port)
        self._kube_port = int(listening.getsockname()[1])
        self._dns_port = await self._dns.start(settings.address, settings.dns_port)
        furnish(self.registry, settings.pool, settings.address, self._kube_port)
        write_kubeconfig(settings.state / "kubeconfig", settings.address, self._kube_port, self._ca, self._tokens.admin)
        endpoints = EndpointsController(self.registry)
        namespaces = NamespaceController(self.registry, self._ca.decode())
        self._lb_loop = Loop("load balancer", self.store, LB_WATCHED, self._load_balancer.work)
        api_service = ApiService(self.registry, self._service_ip, self._kube_port)
        api_service.work()
        self._forwarder.api = (settings.address, self._kube_port)
        loops = [
            Loop("kubernetes service", self.store, API_SERVICE_WATCHED, api_service.work),
            Loop("namespaces", self.store, NAMESPACE_WATCHED, namespaces.work),
            Loop("garbage collector", self.store, GARBAGE_WATCHED, GarbageCollector(self.registry).work),
            Loop("deployments", self.store, DEPLOYMENTS_WATCHED, DeploymentController(self.registry).work),
            Loop("replicasets", self.store, SETS_WATCHED, ReplicaSetController(self.registry).work),
            Loop("endpoints", self.store, ENDPOINTS_WATCHED, endpoints.work),
            Loop("kubelet", self.store, KUBELET_WATCHED, self._kubelet.work),
            self._lb_loop,
        ]
        self._tasks = [asyncio.ensure_future(loop.run()) for loop in loops]
        self._tasks.append(asyncio.ensure_future(self._forwarder.run()))
        control = Control(self.registry, self._tokens, self._faults, self)
        self._control = await serve_control(settings.state, control.handle)
        await self._server.listen(listening, self._tls)
        return {"kube": self._kube_port, "dns": self._dns_port}

    async def stop(self) -> None:
        """End everything, the pods included; at most about two and a half seconds."""
        if self._down is not None:
            self._down.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._forwarder.close()
        self._dns.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.gather(self._kubelet.close(), self._server.close())
        if self._control is not None:
            await self._control.close()
            remove_control_socket(self._settings.state)
        self.store.close()

    # -- what the control socket may do -------------------------------------------------------------

    def status(self) -> Document:
        """Return ports, listeners and what could not be bound."""
        return {
            "profile": self._settings.profile.name,
            "version": self._settings.profile.git_version,
            "metallb": self._settings.profile.metallb,
            "ports": {"kube": self._kube_port, "dns": self._dns_port},
            "resourceVersion": str(self.store.version),
            "poolError": self._load_balancer.config_error,
            "watches": len(self.store.subscriptions),
            **self._forwarder.status(),
        }

    def pod_log(self, pod: Document, lines: int) -> list[str]:
        """The last lines of a pod's log."""
        return self._kubelet.tail(pod, lines)

    def drop_watches(self) -> int:
        """End all watches; returns how many."""
        found = list(self.store.subscriptions)
        for subscription in found:
            subscription.close()
        return len(found)

    def api_down(self, seconds: float) -> None:
        """Refuse connections to the API for a while; 0 brings it back now."""
        if self._down is not None:
            self._down.cancel()
        self._down = asyncio.ensure_future(self._outage(seconds))

    async def _outage(self, seconds: float) -> None:
        try:
            if seconds > 0:
                await self._server.close()
                await asyncio.sleep(seconds)
        finally:
            if not self._server.listening:
                await self._server.listen(tcp_socket(self._settings.address, self._kube_port), self._tls)

    def lb_changed(self) -> None:
        """The lb-stopped fault went on or off; a load balancer that comes back starts afresh."""
        if not self._faults.lb_stopped:
            self._load_balancer.wake_after_stop()
        if self._lb_loop is not None:
            self._lb_loop.wake()
