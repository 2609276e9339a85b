"""The cluster over connections that stay open, with plain dicts.

The official client (kubernetes 37) is passed by. Its models cost a second at start and refuse what older servers answer
to DELETE, its raw watch loses 410s and its place, it parses the certificates anew for each connection, and importing it
costs 5 MB. Credentials are read again when their files change or the server says 401.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.util import parse_url

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.violations import RuleError
from edge_expose_module.adapters import credentials
from edge_expose_module.adapters.api_refusals import error_of
from edge_expose_module.adapters.credentials import Credentials, NoCredentials
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


class NoCluster(Exception):
    """Neither a kubeconfig nor a pod's ServiceAccount is there."""


_ACCEPT: Final = "application/json"
_ACCEPT_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_ACCEPT_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_CONNECTIONS: Final = 32
"""Kept open: each watch has one, and writes run side by side."""
_AS_OURS: Final = {"fieldManager": FIELD_MANAGER}


class KubernetesApi:
    """`kubeconfig` None means the ServiceAccount of the pod we run in; keys that a plugin of it gives are written into
    folder `keys`."""

    def __init__(self, kubeconfig: Path | None, keys: Path) -> None:
        if kubeconfig is None and not os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise NoCluster("no KUBECONFIG is set and this is not a pod of a cluster: which cluster is meant?")
        self._kubeconfig = kubeconfig
        self._keys = keys
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def context_namespace(self) -> str | None:
        """The namespace of the kubeconfig's context, or of the pod."""
        if self._kubeconfig is None:
            try:
                return (credentials.SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
            except OSError:
                return None
        try:
            return credentials.namespace_of(self._kubeconfig)
        except Exception as error:  # a broken kubeconfig is told by the first call
            log.warning("kubeconfig %s: %s", self._kubeconfig, type(error).__name__)
            return None

    # --- calls ---

    def version(self) -> str:
        return str(self._json("GET", "/version").get("gitVersion", ""))

    def addresses(self) -> tuple[Address, ...]:
        host = urlsplit(self._connect().credentials.server).hostname or ""
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
    ) -> urllib3.BaseHTTPResponse:
        """The open response of a call that was accepted."""
        connection = self._connect()
        headers = {"Accept": accept, "User-Agent": FIELD_MANAGER}
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = json.dumps(dict(body), separators=(",", ":")).encode()
        try:
            if authorization := connection.credentials.authorization():
                headers["Authorization"] = authorization
            response = connection.pool.urlopen(
                method,
                f"{connection.base}{path}?{urlencode(query)}" if query else f"{connection.base}{path}",
                content,
                headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
                preload_content=False,
            )
        except urllib3.exceptions.SSLError as error:
            raise Unavailable(f"the Kubernetes API cannot be reached: {str(error).splitlines()[-1]}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"the Kubernetes API cannot be reached: {_cause(error)}") from error
        if response.status >= 300:
            data = response.read()
            response.release_conn()
            if response.status == 401:
                self._forget()
            raise error_of(response.status, _status(data))
        return response

    def _connect(self) -> _Connection:
        with self._lock:
            connection = self._connection
            if connection is None or _stamps(connection.credentials.files) != connection.stamps:
                self._connection = connection = self._new_connection()
            return connection

    def _forget(self) -> None:
        with self._lock:
            self._connection = None

    def _new_connection(self) -> _Connection:
        try:
            if self._kubeconfig is None:
                found = credentials.of_pod(os.environ)
            else:
                found = credentials.of_kubeconfig(self._kubeconfig, self._keys)
            stamps = _stamps(found.files)
            server = parse_url(found.server)
            if server.scheme not in ("http", "https") or not server.host:
                raise NoCredentials("the server is no URL")
        except Exception as error:
            # The official loader raises many kinds; their texts may quote the file, which holds secrets.
            where = self._kubeconfig or credentials.SERVICE_ACCOUNT
            told = f": {error}" if isinstance(error, NoCredentials) else ""
            raise Unavailable(f"no usable credentials in {where} ({type(error).__name__}{told})") from error
        pool: urllib3.HTTPConnectionPool
        if server.scheme == "https":
            pool = urllib3.HTTPSConnectionPool(
                server.host,
                server.port,
                maxsize=_CONNECTIONS,
                ssl_context=found.tls,
                server_hostname=found.server_name,
            )
        else:
            pool = urllib3.HTTPConnectionPool(server.host, server.port, maxsize=_CONNECTIONS)
        return _Connection(found, pool, (server.path or "").rstrip("/"), stamps)


@dataclass(frozen=True, slots=True)
class _Connection:
    """`base` is the path that stands before all others; `stamps` are those of the credentials' files."""

    credentials: Credentials
    pool: urllib3.HTTPConnectionPool
    base: str
    stamps: tuple[tuple[int, int], ...]


def _stamps(files: tuple[Path, ...]) -> tuple[tuple[int, int], ...]:
    """A file that is replaced has another; one that is not there has none."""
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_ino))
    return tuple(found)


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
