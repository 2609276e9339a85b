"""A plain client of a Kubernetes API for tests: JSON in and out, optionally from inside a network namespace."""

from __future__ import annotations

import base64
import http.client
import json
import select
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from support.testbed_namespaces import socket_in

JsonObject = dict[str, Any]
T = TypeVar("T")


class ApiRefused(AssertionError):
    """The API answered with an error that the test did not expect."""

    def __init__(self, status: int, body: JsonObject) -> None:
        super().__init__(f"{status} {body.get('message') or body}")
        self.status = status
        self.body = body


class _Connection(http.client.HTTPSConnection):
    def __init__(self, host: str, port: int, namespace: str | None, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=60, context=context)
        self._namespace = namespace
        self._tls = context

    def connect(self) -> None:
        plain = socket_in(self._namespace, socket.SOCK_STREAM)
        plain.settimeout(20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.connect((self.host, self.port))
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)

    def is_closed_by_server(self) -> bool:
        """Whether its end has come: between two requests there is nothing else to read."""
        return self.sock is None or bool(select.select([self.sock], [], [], 0)[0])


class Api:
    """`namespace` is the network namespace to call from; `token` None takes the kubeconfig's."""

    def __init__(self, kubeconfig: Path, *, namespace: str | None = None, token: str | None = None) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        url = urlsplit(cluster["server"])
        assert url.hostname is not None
        assert url.port is not None
        self._host, self._port = url.hostname, url.port
        self._tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self._kept = threading.local()
        self._kubeconfig = kubeconfig
        self.network_namespace = namespace
        self.token = content["users"][0]["user"]["token"] if token is None else token

    def with_token(self, token: str) -> Api:
        """The same server as somebody else."""
        return Api(self._kubeconfig, namespace=self.network_namespace, token=token)

    def connection(self) -> http.client.HTTPSConnection:
        """A new one, for whoever keeps it open."""
        return _Connection(self._host, self._port, self.network_namespace, self._tls)

    def raw(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, bytes]:
        """Status and body; raises OSError when there is no answer."""
        headers = {"Accept": "application/json", "Content-Type": kind}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        kept: _Connection | None = vars(self._kept).pop("connection", None)
        if kept is not None and not kept.is_closed_by_server():
            try:
                return self._ask(kept, method, path, data, headers)
            except OSError:
                # The server closed it, or was restarted. A write may have been done: it is not asked for twice.
                if method != "GET":
                    raise
        return self._ask(
            _Connection(self._host, self._port, self.network_namespace, self._tls), method, path, data, headers
        )

    def _ask(
        self, connection: _Connection, method: str, path: str, data: str | bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        keep = False
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            answer = response.status, response.read()
            keep = not response.will_close
            return answer
        except http.client.HTTPException as error:
            raise OSError(f"broken answer: {error!r}") from error
        finally:
            if keep:
                self._kept.connection = connection
            else:
                connection.close()

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> JsonObject:
        """The answer; raises ApiRefused."""
        status, data = self.raw(method, path, body, kind)
        content = json.loads(data) if data else {}
        if status >= 400:
            raise ApiRefused(status, content)
        return dict(content)

    def get(self, path: str) -> JsonObject:
        return self.call("GET", path)

    def items(self, path: str) -> list[JsonObject]:
        return list(self.get(path).get("items") or [])

    def create(self, path: str, body: JsonObject, *, exists_ok: bool = False) -> JsonObject:
        try:
            return self.call("POST", path, body)
        except ApiRefused as refused:
            if not exists_ok or refused.status != 409:
                raise
            return {}

    def merge(self, path: str, body: JsonObject) -> JsonObject:
        """JSON merge patch."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str, *, missing_ok: bool = True) -> None:
        try:
            self.call("DELETE", path)
        except ApiRefused as refused:
            if not missing_ok or refused.status != 404:
                raise

    def ready(self) -> bool:
        return self.raw("GET", "/readyz")[0] == 200

    def address(self, namespace: str, name: str) -> str:
        """The external address a Service has now, or ''."""
        status = self.get(f"/api/v1/namespaces/{namespace}/services/{name}").get("status") or {}
        ingress = (status.get("loadBalancer") or {}).get("ingress") or []
        return str(ingress[0]["ip"]) if ingress else ""
