"""The control socket: how a device owner, a scheduler and bad luck move this cluster."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from pathlib import Path
from typing import Any, Protocol

import yaml

from ...control_socket import open_control_socket
from ...http.messages import Handler, Request, Response, json_response
from ...http.server import HttpServer
from ..access.tokens import Tokens
from ..faults import CATALOG, Faults, problem
from ..kinds.errors import ApiError, Document, bad_request
from ..metallb.configuration import NAMESPACE
from ..metallb.pools import ConfigError, parse_element
from ..objects.registry import Registry

_TOLD_LINES = 5
MODULE_LABEL = "net.azure-devices.edge.module"


class Moves(Protocol):
    """What the control socket can do to the running cluster."""

    def status(self) -> Document: ...
    def pod_log(self, pod: Document, lines: int) -> list[str]: ...
    def drop_watches(self) -> int: ...
    def api_down(self, seconds: float) -> None: ...
    def lb_changed(self) -> None: ...


class Control:
    """Handles control requests; bad input is answered with 400 and a text."""

    def __init__(self, registry: Registry, tokens: Tokens, faults: Faults, moves: Moves) -> None:
        self._registry = registry
        self._tokens = tokens
        self._faults = faults
        self._moves = moves

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        try:
            body: Any = json.loads(request.body) if request.body.strip() else {}
            if not isinstance(body, dict):
                raise bad_request("the body must be a JSON object")
            return json_response(200, await self._answer(request, body))
        except ApiError as error:
            return json_response(error.code, {"error": error.message})
        except (ValueError, KeyError, TypeError) as error:
            return json_response(400, {"error": f"bad request: {type(error).__name__}: {error}"})

    async def _answer(self, request: Request, body: Document) -> Document:
        match (request.method, request.path):
            case ("GET", "/status"):
                return self._moves.status()
            case ("POST", "/pool"):
                return set_pool(self._registry, str(body["ranges"]))
            case ("GET", "/pods"):
                return self._pod(request.arg("namespace", "default"), request.arg("name"))
            case ("POST", "/pods"):
                return self._run_pod(body)
            case ("DELETE", "/pods"):
                namespace = str(body.get("namespace") or request.arg("namespace", "default"))
                name = self._pod_called(namespace, str(body.get("name") or request.arg("name")))
                self._registry.delete(self._registry.resource("pods"), namespace, name, {"gracePeriodSeconds": 1})
                return {"deleted": f"{namespace}/{name}"}
            case ("POST", "/pods/replace"):
                return await self._replace(str(body.get("namespace") or "default"), str(body["name"]))
            case ("POST", "/token"):
                return self._token(str(body["namespace"]), str(body["serviceaccount"]))
            case ("GET", "/faults"):
                return {"known": CATALOG, "set": self._faults.view()}
            case ("POST", "/fault"):
                return self._fault(body)
            case ("DELETE", "/fault"):
                self._faults.clear()
                self._moves.api_down(0.0)
                self._moves.lb_changed()
                return {"set": self._faults.view()}
        raise ApiError(404, "NotFound", f"no such control request: {request.method} {request.path}")

    def _run_pod(self, body: Document) -> Document:
        namespace = str(body.get("namespace") or "default")
        if self._registry.store.get("namespaces", "", namespace) is None:
            if body.get("createNamespace") is False:
                known = ", ".join(sorted(item["metadata"]["name"] for item in self._registry.store.all("namespaces")))
                raise ApiError(404, "NotFound", f"there is no namespace {namespace}; there are {known}")
            self._registry.create(self._registry.resource("namespaces"), "", {"metadata": {"name": namespace}})
        container: Document = {"name": "main", "image": str(body.get("image") or "edge-expose/echo:1")}
        if body.get("command"):
            container["command"] = [str(part) for part in body["command"]]
        if body.get("workingDir"):
            container["workingDir"] = str(body["workingDir"])
        if body.get("env"):
            container["env"] = [{"name": str(k), "value": str(v)} for k, v in dict(body["env"]).items()]
        port = {"containerPort": int(body.get("port") or 80), "protocol": str(body.get("protocol") or "TCP").upper()}
        container["ports"] = [port]
        labels = {str(k): str(v) for k, v in dict(body.get("labels") or {}).items()}
        pod = {"metadata": {"name": str(body["name"]), "labels": labels}, "spec": {"containers": [container]}}
        created = self._registry.create(self._registry.resource("pods"), namespace, pod)
        return {"namespace": namespace, "name": created["metadata"]["name"], "uid": created["metadata"]["uid"]}

    def _pod(self, namespace: str, name: str) -> Document:
        """How the pod fares: `{"running", "ready", "restarts", "ended", "log"}`; `ended` as in its lastState."""
        pod = self._registry.get(self._registry.resource("pods"), namespace, name)
        seen: Document = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
        return {
            "running": "running" in seen.get("state", {}),
            "ready": bool(seen.get("ready")),
            "restarts": int(seen.get("restartCount", 0)),
            "ended": seen.get("lastState", {}).get("terminated"),
            "log": self._moves.pod_log(pod, _TOLD_LINES),
        }

    def _pod_called(self, namespace: str, name: str) -> str:
        """The pod of this name, or the one that runs the module of this name, whose own name nobody can know."""
        pods = self._registry.store.all("pods", namespace)
        if any(pod["metadata"]["name"] == name for pod in pods):
            return name
        of_module = [pod["metadata"] for pod in pods if (pod["metadata"].get("labels") or {}).get(MODULE_LABEL) == name]
        if len(of_module) == 1:
            return str(of_module[0]["name"])
        known = ", ".join(sorted(pod["metadata"]["name"] for pod in pods)) or "none"
        raise ApiError(404, "NotFound", f"no pod or module {name} in namespace {namespace}; pods there: {known}")

    async def _replace(self, namespace: str, name: str) -> Document:
        pods = self._registry.resource("pods")
        name = self._pod_called(namespace, name)
        old = self._registry.get(pods, namespace, name)
        before = old.get("status", {}).get("podIP")
        uid = old["metadata"]["uid"]
        self._registry.delete(pods, namespace, name, {"gracePeriodSeconds": 1})
        ends = time.monotonic() + 10
        while (found := self._registry.store.get("pods", namespace, name)) is not None and time.monotonic() < ends:
            if found["metadata"]["uid"] != uid:
                break
            await asyncio.sleep(0.02)
        spec = {k: v for k, v in copy.deepcopy(old["spec"]).items() if k != "nodeName"}
        # Whoever made the pod knows it by its annotations too: without them the runtime would make it once more.
        meta = {"name": name, **{what: old["metadata"].get(what) or {} for what in ("labels", "annotations")}}
        self._registry.create(pods, namespace, {"metadata": meta, "spec": spec})
        while time.monotonic() < ends:
            status = self._registry.get(pods, namespace, name).get("status", {})
            if status.get("podIP"):
                return {"namespace": namespace, "name": name, "before": before, "podIP": status["podIP"]}
            await asyncio.sleep(0.02)
        return {"namespace": namespace, "name": name, "before": before, "podIP": None}

    def _token(self, namespace: str, name: str) -> Document:
        accounts = self._registry.resource("serviceaccounts")
        if self._registry.store.get("namespaces", "", namespace) is None:
            self._registry.create(self._registry.resource("namespaces"), "", {"metadata": {"name": namespace}})
        found = self._registry.store.get("serviceaccounts", namespace, name)
        if found is None:
            found = self._registry.create(accounts, namespace, {"metadata": {"name": name}})
        token, _ = self._tokens.mint(namespace, name, found["metadata"]["uid"], 10 * 365 * 86400, [])
        return {"token": token}

    def _fault(self, body: Document) -> Document:
        name, options = str(body.get("name", "")), {key: value for key, value in body.items() if key != "name"}
        if wrong := problem(name, options):
            raise bad_request(wrong)
        match name:
            case "api-status":
                self._faults.status_code, self._faults.status_left = body["code"], body.get("count", 1)
            case "api-hang":
                self._faults.hang = bool(body.get("on", True))
                self._faults.released.set()
            case "api-down":
                seconds = float(body["seconds"])
                self._faults.api_down_until = time.monotonic() + seconds
                self._moves.api_down(seconds)
            case "drop-watches":
                return {"dropped": self._moves.drop_watches()}
            case "gone":
                self._faults.gone = int(body.get("count", 1))
                self._moves.drop_watches()
            case "lb-stopped":
                self._faults.lb_stopped = bool(body.get("on", True))
                self._moves.lb_changed()
            case "kubelet-not-ready":
                pod = str(body["pod"])
                if body.get("on", True):
                    self._faults.not_ready.add(pod)
                else:
                    self._faults.not_ready.discard(pod)
        return {"set": self._faults.view()}


def set_pool(registry: Registry, ranges: str) -> Document:
    """Write the pool object(s): `A-B[,C-D]`. The first pool object is changed, or one named `default` is made."""
    elements = [part.strip() for part in ranges.split(",") if part.strip()]
    if not elements:
        raise bad_request("ranges must hold at least one range")
    for element in elements:
        try:
            parse_element(element, legacy=not registry.profile.crd_pools)
        except ConfigError as error:
            raise bad_request(str(error)) from None
    if registry.profile.crd_pools:
        pools = registry.resource("ipaddresspools", "metallb.io")
        found = registry.store.all(pools.storage, NAMESPACE)
        if found:
            changed = copy.deepcopy(found[0])
            changed["spec"]["addresses"] = elements
            registry.update(pools, NAMESPACE, changed["metadata"]["name"], changed)
        else:
            registry.create(pools, NAMESPACE, {"metadata": {"name": "default"}, "spec": {"addresses": elements}})
        return {"addresses": elements}
    maps = registry.resource("configmaps")
    current = registry.store.get("configmaps", NAMESPACE, "config")
    pool: Document = {"name": "default", "protocol": "layer2", "addresses": elements}
    config: Document = {"address-pools": [pool]}
    if current is not None:
        kept = yaml.safe_load((current.get("data") or {}).get("config", "")) or {}
        if isinstance(kept, dict) and kept.get("address-pools"):
            kept["address-pools"][0]["addresses"] = elements
            config = kept
    text = yaml.safe_dump(config, sort_keys=False)
    if current is None:
        registry.create(maps, NAMESPACE, {"metadata": {"name": "config"}, "data": {"config": text}})
    else:
        registry.update(maps, NAMESPACE, "config", {**current, "data": {**(current.get("data") or {}), "config": text}})
    return {"addresses": elements}


async def serve_control(state: Path, handler: Handler) -> HttpServer:
    """Listen on the control socket and write control.path."""
    server = HttpServer(handler)
    await server.listen(open_control_socket(state))
    return server
