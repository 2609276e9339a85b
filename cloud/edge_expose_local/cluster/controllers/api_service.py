"""The Service `kubernetes` in the namespace `default`, which leads to the API; it comes back when it is deleted."""

from __future__ import annotations

from ..kinds.errors import ApiError
from ..objects.registry import Registry

WATCHED = frozenset({"services", "namespaces"})
NAMESPACE, NAME = "default", "kubernetes"


class ApiService:
    """Keeps it; `ip` is its cluster IP, `port` where the API listens."""

    def __init__(self, registry: Registry, ip: str, port: int) -> None:
        self._registry = registry
        self._ip = ip
        self._port = port

    def work(self) -> None:
        """Make it when it is missing; a Service that took its address long ago keeps that."""
        store = self._registry.store
        if store.get("namespaces", "", NAMESPACE) is None or store.get("services", NAMESPACE, NAME) is not None:
            return
        meta = {"name": NAME, "labels": {"component": "apiserver", "provider": "kubernetes"}}
        ports = [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": self._port}]
        spec = {"type": "ClusterIP", "clusterIP": self._ip, "ports": ports}
        services = self._registry.resource("services")
        try:
            self._registry.create(services, NAMESPACE, {"metadata": meta, "spec": spec})
        except ApiError:
            del spec["clusterIP"]
            self._registry.create(services, NAMESPACE, {"metadata": meta, "spec": spec})
