"""The cluster that a situation is played on: a real one or the embedded one, and what may be done to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from support.testbed_api import Api, ApiRefused, JsonObject
from support.testbed_loopback import RealCluster
from support.waiting import eventually

METALLB_NAMESPACE: Final = "metallb-system"
_OBJECTS: Final = f"/apis/metallb.io/v1beta1/namespaces/{METALLB_NAMESPACE}"
_CONFIG: Final = f"/api/v1/namespaces/{METALLB_NAMESPACE}/configmaps"
PoolSpecs = Mapping[str, Mapping[str, Any]]


class Bed:
    """`base` are the first three octets of the addresses that pools may hold; `log` is where the load balancer
    writes. A new bed has no pool; situations leave Services and pools behind, `clear` takes them away."""

    def __init__(
        self,
        profile: str,
        kubeconfig: Path,
        base: str,
        log: Path,
        real: RealCluster | None,
        restart: Callable[[], None],
    ) -> None:
        self.profile = profile
        self.base = base
        self.real = real
        self.restart = restart
        self.api = Api(kubeconfig)
        self._log = log
        self._made: list[str] = []
        self._pools: PoolSpecs | str = {}

    def address(self, number: int) -> str:
        return f"{self.base}.{number}"

    def range(self, first: int, last: int) -> str:
        return f"{self.address(first)}-{self.address(last)}"

    # --- the load balancer's configuration ---

    def set_pools(self, pools: PoolSpecs) -> None:
        """Makes these the pools, and waits until the load balancer has read them, whatever it makes of them."""
        start = self.log_size()
        if self.profile == "1.20":
            entries = [{"name": name, "protocol": "layer2", **_old_keys(spec)} for name, spec in pools.items()]
            self.set_text(yaml.safe_dump({"address-pools": entries}, sort_keys=False))
            return
        before = self._pools if isinstance(self._pools, dict) else {}
        self._pools = dict(pools)
        last = ""
        there = {str(one["metadata"]["name"]) for one in self.api.items(f"{_OBJECTS}/ipaddresspools")}
        for last in sorted(there - pools.keys()):
            start = self.log_size()
            self.api.delete(f"{_OBJECTS}/ipaddresspools/{last}")
            self._wait_read(start)
        for name, spec in pools.items():
            if before.get(name) == spec:
                continue  # a write that changes nothing is not told to anybody
            last, start = name, self.log_size()
            self._put_pool(name, spec, name in there)
            self._wait_read(start)
        if last and self.real is not None:
            self._wait_reconciled(start, f"{METALLB_NAMESPACE}/{last}")

    def _wait_read(self, start: int) -> None:
        """The embedded one says of each change how it read it; the real one passes over what is the same to it."""
        if self.real is None:
            eventually(lambda: any(map(self.says_how_it_read, self.log(start))), what="the pools are read")

    def _put_pool(self, name: str, spec: Mapping[str, Any], there: bool) -> None:
        head: JsonObject = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": name}}
        path = f"{_OBJECTS}/ipaddresspools"
        if not there:
            self.api.create(path, {**head, "spec": dict(spec)})
            return
        # Not read and written back: MetalLB writes the pool's counts meanwhile. The server itself repeats a patch.
        change = [{"op": "replace", "path": "/spec", "value": dict(spec)}]
        self.api.call("PATCH", f"{path}/{name}", change, "application/json-patch+json")

    def set_text(self, text: str) -> None:
        """The text of 0.10's ConfigMap."""
        if text == self._pools:
            return
        self._pools = text
        start = self.log_size()
        self.api.create(_CONFIG, {"metadata": {"name": "config"}, "data": {"config": ""}}, exists_ok=True)
        self.api.merge(f"{_CONFIG}/config", {"data": {"config": text}})
        eventually(lambda: any(map(self.says_how_it_read, self.log(start))), what="the ConfigMap is read")

    def drop_config(self) -> None:
        """Takes 0.10's ConfigMap away."""
        self._pools = {}
        start = self.log_size()
        self.api.delete(f"{_CONFIG}/config")
        eventually(lambda: any(map(self.says_how_it_read, self.log(start))), what="that it is gone is noticed")

    def _wait_reconciled(self, start: int, key: str) -> None:
        def done() -> bool:
            lines = [line for line in self.log(start) if line.get("controller") == "PoolReconciler"]
            begun = [place for place, line in enumerate(lines) if line.get("start reconcile") == key]
            return bool(begun) and any(line.get("end reconcile") == key for line in lines[begun[0] :])

        eventually(done, what=f"{key} is read")

    def says_how_it_read(self, line: JsonObject) -> bool:
        """The line that says what became of one reading; of a ConfigMap that is gone 0.10 says something else."""
        if line.get("controller") == "PoolReconciler":
            return "error" in line or line.get("event") == "config reloaded"
        gone = self._pools == {} and line.get("op") == "setConfig"
        return gone or line.get("event") in ("configLoaded", "configStale")

    # --- what the load balancer writes beside Services ---

    def log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def log(self, start: int) -> list[JsonObject]:
        """Lines since a size, without time and place in the source; other text than JSON is passed over."""
        found = []
        for line in self._log.read_bytes()[start:].decode(errors="replace").splitlines():
            try:
                content = json.loads(line)
            except ValueError:
                continue
            if isinstance(content, dict):
                found.append({key: value for key, value in content.items() if key not in ("ts", "caller")})
        return found

    def configuration_state(self) -> JsonObject:
        """Status of the object that the controller keeps of its configuration (from 0.15.3 on)."""
        status = dict(self.api.get(f"{_OBJECTS}/configurationstates/controller").get("status") or {})
        kept = ("type", "status", "reason", "message")
        conditions = [{key: one[key] for key in kept} for one in status.get("conditions") or []]
        return {**status, "conditions": conditions}

    # --- objects ---

    def namespace(self, labels: Mapping[str, str] | None = None) -> str:
        name = f"t-{uuid.uuid4().hex[:10]}"
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
        self._made.append(name)
        return name

    def service(self, namespace: str, name: str = "") -> str:
        """The path of a Service, or of all of a namespace."""
        return f"/api/v1/namespaces/{namespace}/services" + (f"/{name}" if name else "")

    def balancer(
        self,
        namespace: str,
        name: str,
        address: str = "",
        *,
        port: int = 8080,
        annotations: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        """Makes a Service of type LoadBalancer with one TCP port."""
        body: JsonObject = {"type": "LoadBalancer", "ports": [{"name": "http", "port": port}], **spec}
        if address:
            body["loadBalancerIP"] = address
        meta = {"name": name, "annotations": dict(annotations or {}), "labels": dict(labels or {})}
        self.api.create(self.service(namespace), {"metadata": meta, "spec": body})

    def ask(self, namespace: str, name: str, address: str | None) -> None:
        """Changes the address that a Service asks for."""
        self.api.merge(self.service(namespace, name), {"spec": {"loadBalancerIP": address}})

    def addresses(self, namespace: str, name: str) -> list[str]:
        status = self.api.get(self.service(namespace, name)).get("status") or {}
        return [str(entry["ip"]) for entry in (status.get("loadBalancer") or {}).get("ingress") or []]

    def wait_address(self, namespace: str, name: str, address: str = "") -> str:
        def there() -> str:
            found = self.addresses(namespace, name)
            return found[0] if found and address in ("", found[0]) else ""

        return str(eventually(there, what=f"address of {namespace}/{name}"))

    def event(self, namespace: str, name: str, reason: str, starts: str = "") -> JsonObject:
        """Waits for an event about a Service: its source, type, reason and message."""

        def found() -> JsonObject | None:
            path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name={name},reason={reason}"
            items = [item for item in self.api.items(path.replace(" ", "%20")) if item["message"].startswith(starts)]
            if not items:
                return None
            last = items[-1]
            head = {"source": last["source"]["component"], "type": last["type"]}
            return {**head, "reason": last["reason"], "message": last["message"]}

        return dict(eventually(found, what=f"event {reason} about {namespace}/{name}") or {})

    def answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        kind: str = "application/json",
    ) -> JsonObject:
        """What the API server answers: status, reason, message and, where there are any, the causes."""
        api = self.api if token is None else self.api.with_token(token)
        status, data = api.raw(method, path, body, kind)
        content = json.loads(data) if data else {}
        return status_answer(status, content)

    def merge_answer(self, path: str, body: Any) -> JsonObject:
        return self.answer("PATCH", path, body, kind="application/merge-patch+json")

    def clear(self) -> None:
        """Removes the Services of the namespaces made here, and waits until their addresses are free."""
        for namespace in self._made:
            for service in self.api.items(self.service(namespace)):
                path = self.service(namespace, service["metadata"]["name"])
                if service["metadata"].get("finalizers"):
                    self.api.merge(path, {"metadata": {"finalizers": None}})
                self.api.delete(path)
        self._made.clear()
        if self.real is not None:
            self.real.metallb.wait_released()


def status_answer(status: int, content: Mapping[str, Any]) -> JsonObject:
    """The parts of a Status body that tell a refusal from another."""
    if status < 400:
        return {"status": status}
    causes = (content.get("details") or {}).get("causes")
    return {"status": status, "reason": content.get("reason", ""), "message": content["message"], "causes": causes}


def _old_keys(spec: Mapping[str, Any]) -> JsonObject:
    names = {"autoAssign": "auto-assign", "avoidBuggyIPs": "avoid-buggy-ips"}
    return {names.get(key, key): value for key, value in spec.items()}


def pool(*ranges: str, **more: Any) -> JsonObject:
    return {"addresses": list(ranges), **more}


__all__: Sequence[str] = ["ApiRefused", "Bed", "PoolSpecs", "pool", "status_answer"]
