"""What a test asks of a real cluster whose load balancer is not MetalLB: Services, and what was answered to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.testbed_api import Api
from support.testbed_cilium import CONDITION, Cilium
from support.testbed_loopback import RealCluster
from support.testbed_metallb import run_pod
from support.testbed_service_controller import ServiceController
from support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the API."""

    status: int
    body: Any


def _first_seen(event: Mapping[str, Any]) -> tuple[str, int]:
    """Events of the API server itself, such as those of its repair of cluster IPs, have an `eventTime` alone."""
    metadata = event["metadata"]
    time = event.get("firstTimestamp") or event.get("eventTime") or metadata["creationTimestamp"]
    return str(time), int(metadata["resourceVersion"])


class BalancedCluster:
    """A cluster for a whole run; each test makes namespaces of its own and leaves no Service behind."""

    def __init__(self, real: RealCluster, load_balancer: str, base: str) -> None:
        self.real = real
        self.load_balancer = load_balancer
        self.profile = real.profile
        self.base = base
        """First three octets of all its addresses."""
        self._made: list[str] = []

    @property
    def kubeconfig(self) -> Path:
        return self.real.kubeconfig

    @property
    def api(self) -> Api:
        return self.real.api

    @property
    def cilium(self) -> Cilium:
        assert isinstance(self.real.balancer, Cilium), self.load_balancer
        return self.real.balancer

    @property
    def service_controller(self) -> ServiceController:
        assert isinstance(self.real.balancer, ServiceController), self.load_balancer
        return self.real.balancer

    def ip(self, last: int) -> str:
        return f"{self.base}.{last}"

    def range(self, first: int, last: int) -> str:
        return f"{self.ip(first)}-{self.ip(last)}"

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Answer:
        """Refusals are answers too."""
        status, data = self.api.raw(method, path, body, kind)
        return Answer(status, json.loads(data) if data else {})

    def merge(self, path: str, body: Any) -> Answer:
        """JSON merge patch."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def namespace(self) -> str:
        """A fresh one."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self._made.append(name)
        return name

    def services(self, namespace: str) -> str:
        return f"/api/v1/namespaces/{namespace}/services"

    def service(self, namespace: str, name: str) -> dict[str, Any]:
        """A Service as it is now; {} when there is none."""
        answer = self.call("GET", f"{self.services(namespace)}/{name}")
        return dict(answer.body) if answer.status == 200 else {}

    def balance(
        self,
        namespace: str,
        name: str,
        address: str = "",
        *,
        port: int = 8080,
        protocol: str = "TCP",
        annotations: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Creates a LoadBalancer Service with one port, asking for `address` by its field."""
        spec: dict[str, Any] = {"type": "LoadBalancer", "ports": [{"name": "p", "port": port, "protocol": protocol}]}
        if address:
            spec["loadBalancerIP"] = address
        metadata = {"name": name, "annotations": dict(annotations or {}), "labels": dict(labels or {})}
        self.api.create(self.services(namespace), {"metadata": metadata, "spec": spec})

    def ask(self, namespace: str, name: str, address: str) -> None:
        """Changes what a Service asks for."""
        self.api.merge(f"{self.services(namespace)}/{name}", {"spec": {"loadBalancerIP": address or None}})

    def delete(self, namespace: str, name: str) -> None:
        self.api.delete(f"{self.services(namespace)}/{name}")

    def addresses(self, namespace: str, name: str) -> list[str]:
        """All external addresses it has now."""
        status = self.service(namespace, name).get("status") or {}
        return [str(entry["ip"]) for entry in (status.get("loadBalancer") or {}).get("ingress") or []]

    def address(self, namespace: str, name: str) -> str:
        """The first external address it has now, or ''."""
        return next(iter(self.addresses(namespace, name)), "")

    def wait_address(self, namespace: str, name: str, wanted: str = "") -> str:
        """An external address (a certain one, when given)."""

        def there() -> str:
            found = self.address(namespace, name)
            return found if not wanted or found == wanted else ""

        return eventually(there, what=f"address {wanted} of {namespace}/{name}")

    def condition(self, namespace: str, name: str, status: str, reason: str = "") -> dict[str, str]:
        """Waits for Cilium's condition to have this status, and this reason where one is given."""

        def there() -> dict[str, str]:
            for one in self.service(namespace, name)["status"].get("conditions") or []:
                if one["type"] == CONDITION and one["status"] == status and reason in ("", one["reason"]):
                    return {key: str(one.get(key) or "") for key in ("type", "status", "reason", "message")}
            return {}

        return eventually(there, what=f"condition {status} of {namespace}/{name}")

    def until_refused(self, namespace: str) -> None:
        """Until a Service that asks for no address gets none: Cilium hears of pools and of Services apart from each
        other, so that one made right after a pool was closed may still be given an address of it."""

        def refused() -> bool:
            self.balance(namespace, "probe")
            try:
                said = eventually(lambda: self._verdict(namespace, "probe"), what="a verdict on the probe")
            finally:
                self.delete(namespace, "probe")
            eventually(lambda: not self.service(namespace, "probe"), what="the probe is gone")
            return said == "False"

        eventually(refused, what="no pool serves")

    def _verdict(self, namespace: str, name: str) -> str:
        conditions = self.service(namespace, name)["status"].get("conditions") or []
        return next((one["status"] for one in conditions if one["type"] == CONDITION), "")

    def events(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """The events about a Service, in the order they were first seen."""
        path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name={name}"
        return sorted(self.api.items(path), key=_first_seen)

    def event(self, namespace: str, name: str, reason: str, containing: str = "") -> dict[str, str]:
        """Waits for an event about a Service."""

        def there() -> dict[str, str]:
            for one in reversed(self.events(namespace, name)):
                if one["reason"] == reason and containing in one["message"]:
                    source = one["source"]["component"]
                    return {"type": one["type"], "reason": reason, "source": source, "message": one["message"]}
            return {}

        return eventually(there, what=f"event {reason} about {namespace}/{name}")

    def run_pod(self, namespace: str, name: str, labels: dict[str, str], ip: str = "10.244.7.7") -> None:
        """A Ready pod; the node it is on exists, since endpoints want that."""
        self.api.create("/api/v1/nodes", {"metadata": {"name": "node1"}}, exists_ok=True)
        run_pod(self.api, namespace, name, ip, labels)

    def restart(self) -> None:
        """Kills everything without warning and starts it again."""
        self.real.restart()

    def revive(self) -> None:
        """Starts the load balancer again that a test which failed left dead."""
        controller = self.real.balancer.controller
        if controller is None or not controller.alive:
            self.real.balancer.start()

    def clear(self) -> None:
        """Deletes the Services of the namespaces made here, and waits until their addresses are free."""
        for namespace in self._made:
            for service in self.api.items(self.services(namespace)):
                self.delete(namespace, service["metadata"]["name"])
        self._made.clear()
        self.real.balancer.wait_released()
