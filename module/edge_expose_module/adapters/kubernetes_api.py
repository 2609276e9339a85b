"""The cluster over the official client's connection layer, with plain dicts.

Typed models are passed by: they cost a second at start, refuse what older servers answer to DELETE, and their raw watch
loses 410s and its place (kubernetes 37). Credentials are read again when their file changes or the server says 401.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.violations import RuleError
from edge_expose_module.adapters.api_refusals import error_of
from edge_expose_module.cluster.api import (
    FIELD_MANAGER,
    SILENT_SECONDS,
    Conflict,
    Listing,
    NotFound,
    Resource,
    Unavailable,
    WatchEvent,
)

log = logging.getLogger(__name__)

_TIMEOUT: Final = (5.0, 20.0)
_PAGE: Final = 500
WATCH_SECONDS: Final = 300
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoCluster(Exception):
    """Neither a kubeconfig nor a pod's ServiceAccount is there."""


_ACCEPT: Final = "application/json"
_ACCEPT_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_ACCEPT_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_CONNECTIONS: Final = 32
"""Kept open: each watch has one, and writes run side by side."""
_AS_OURS: Final = {"fieldManager": FIELD_MANAGER}


class KubernetesApi:
    """`kubeconfig` None means the ServiceAccount of the pod we run in; keys it holds are written into folder `keys`."""

    def __init__(self, kubeconfig: Path | None, keys: Path) -> None:
        if kubeconfig is None and not os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise NoCluster("no KUBECONFIG is set and this is not a pod of a cluster: which cluster is meant?")
        self._kubeconfig = kubeconfig
        self._keys = keys
        self._lock = threading.Lock()
        self._client: Any = None
        self._stamp: tuple[float, ...] = ()

    def context_namespace(self) -> str | None:
        """The namespace of the kubeconfig's context, or of the pod."""
        if self._kubeconfig is None:
            try:
                return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
            except OSError:
                return None
        try:
            _, active = config.list_kube_config_contexts(str(self._kubeconfig))
            namespace = active.get("context", {}).get("namespace")
            return str(namespace) if namespace else None
        except Exception as error:  # a broken kubeconfig is told by the first call
            log.warning("kubeconfig %s: %s", self._kubeconfig, type(error).__name__)
            return None

    # --- calls ---

    def version(self) -> str:
        return str(self._json("GET", "/version").get("gitVersion", ""))

    def addresses(self) -> tuple[Address, ...]:
        host = urlsplit(str(self._connect().configuration.host)).hostname or ""
        try:
            found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
            return tuple(dict.fromkeys(parse_address(str(item[4][0])) for item in found))
        except (OSError, UnicodeError, RuleError):
            return ()

    def resources(self, group: str) -> frozenset[str]:
        try:
            content = self._json("GET", group)
        except NotFound:
            return frozenset()
        return frozenset(str(item["name"]) for item in content.get("resources", []))

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        query = {"limit": str(_PAGE)}
        if labels:
            query["labelSelector"] = labels
        if fields or resource.only:
            query["fieldSelector"] = fields or f"metadata.name={resource.only}"
        accept = _ACCEPT_METADATA_LIST if resource.metadata_only else _ACCEPT
        items: list[Mapping[str, Any]] = []
        while True:
            page = self._json("GET", _path(resource, namespace), query, accept=accept)
            items.extend(page.get("items") or [])
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                return Listing(tuple(items), str(meta.get("resourceVersion", "")))
            query["continue"] = meta["continue"]

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        return self._json("GET", _path(resource, namespace, name))

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._json("POST", _path(resource, namespace), _AS_OURS, body)

    def rehearse(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> None:
        # The API server looks for the name last, after defaults, admission and validation.
        with contextlib.suppress(Conflict):
            self._json("POST", _path(resource, namespace), {"dryRun": "All", **_AS_OURS}, body)

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._json("PATCH", _path(resource, namespace, name), _AS_OURS, body, "application/merge-patch+json")

    def rehearse_patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        query = {"dryRun": "All", **_AS_OURS}
        self._json("PATCH", _path(resource, namespace, name), query, body, "application/merge-patch+json")

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            body["preconditions"] = {"uid": uid}
        self._json("DELETE", _path(resource, namespace, name), body=body)

    def watch(
        self, resource: Resource, namespace: str | None, version: str, stop: threading.Event
    ) -> Iterator[WatchEvent]:
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        if resource.only:
            query["fieldSelector"] = f"metadata.name={resource.only}"
        # The server sends a bookmark every minute.
        timeout = (5.0, SILENT_SECONDS)
        accept = _ACCEPT_METADATA if resource.metadata_only else _ACCEPT
        try:
            with contextlib.closing(
                self._send("GET", _path(resource, namespace), query, timeout=timeout, accept=accept)
            ) as response:
                yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": version}})
                for event in _lines(response, stop):
                    kind, body = str(event.get("type", "")), event.get("object") or {}
                    if kind == "ERROR":
                        raise error_of(int(body.get("code", 500)), body)
                    yield WatchEvent(kind, body)
        except (urllib3.exceptions.HTTPError, ValueError, RecursionError, OSError, AttributeError) as error:
            if not stop.is_set():
                raise Unavailable(f"watch of {resource.plural} broke: {type(error).__name__}") from error

    # --- connection ---

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = _ACCEPT,
    ) -> dict[str, Any]:
        try:
            response = self._send(method, path, query, body, content_type, accept=accept)
            data = response.read()
            response.release_conn()
            content = json.loads(data) if data else {}
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the Kubernetes API did not answer: {type(error).__name__}") from error
        except (ValueError, RecursionError) as error:
            raise Unavailable("the Kubernetes API answered no JSON that can be read") from error
        return content if isinstance(content, dict) else {}

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: tuple[float, float] = _TIMEOUT,
        accept: str = _ACCEPT,
    ) -> Any:
        """The open response of a call that was accepted."""
        client = self._connect()
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            method, url, headers, content, _ = client.param_serialize(
                method,
                path,
                query_params=sorted((query or {}).items()),
                header_params=headers,
                body=dict(body) if body is not None else None,
                auth_settings=["BearerToken"],
            )
            wrapped = client.rest_client.request(method, url, headers=headers, body=content, _request_timeout=timeout)
        except ApiException as error:
            raise Unavailable(f"the Kubernetes API cannot be reached: {str(error.reason).splitlines()[-1]}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes API cannot be reached: {_cause(error)}") from error
        response = wrapped.response
        if response.status >= 400:
            data = response.read()
            response.release_conn()
            if response.status == 401:
                self._forget()
            raise error_of(response.status, _status(data))
        return response

    def _connect(self) -> Any:
        with self._lock:
            stamp = self._file_stamp()
            if self._client is None or stamp != self._stamp:
                self._client = self._new_client()
                self._stamp = stamp
            return self._client

    def _forget(self) -> None:
        with self._lock:
            self._client = None

    def _file_stamp(self) -> tuple[float, ...]:
        files = [self._kubeconfig] if self._kubeconfig else [SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"]
        stamps = []
        for file in files:
            try:
                stamps.append(file.stat().st_mtime)
            except OSError:
                stamps.append(0.0)
        return tuple(stamps)

    def _new_client(self) -> Any:
        configuration = Configuration()
        try:
            if self._kubeconfig is None:
                config.load_incluster_config(client_configuration=configuration)
            else:
                config.load_kube_config(
                    str(self._kubeconfig), client_configuration=configuration, temp_file_path=str(self._keys)
                )
        except Exception as error:
            # The loader raises many kinds; its texts may quote the file, which holds secrets.
            where = self._kubeconfig or SERVICE_ACCOUNT
            raise Unavailable(f"no usable credentials in {where} ({type(error).__name__})") from error
        configuration.retries = False
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.proxy = None
        return ApiClient(configuration)


def _path(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    path = resource.group
    if namespace is not None:
        path += f"/namespaces/{quote(namespace, safe='')}"
    path += f"/{resource.plural}"
    return path if name is None else f"{path}/{quote(name, safe='')}"


def _status(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return {"message": data[:200].decode(errors="replace").strip()}
    return content if isinstance(content, dict) else {}


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__


def _lines(response: Any, stop: threading.Event) -> Iterator[dict[str, Any]]:
    """JSON documents of a watch stream, one a line."""
    rest = b""
    for chunk in response.stream(65536, decode_content=False):
        if stop.is_set():
            return
        rest += chunk
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if line.strip():
                content = json.loads(line)
                if isinstance(content, dict):
                    yield content
