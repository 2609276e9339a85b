"""The little of the Kubernetes API that the runtime needs, over HTTPS with a kubeconfig's token. Blocking calls."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

JsonObject = dict[str, Any]


class KubeError(Exception):
    """The API refused or did not answer; `status` is 0 when there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kube:
    """`namespace` is that of the kubeconfig's context, if it names one."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = _named(content, "contexts", content["current-context"])["context"]
        cluster = _named(content, "clusters", context["cluster"])["cluster"]
        user = _named(content, "users", context["user"])["user"]
        self.server: str = cluster["server"]
        self.namespace: str | None = context.get("namespace")
        self.ca: str = (
            base64.b64decode(cluster["certificate-authority-data"]).decode()
            if "certificate-authority-data" in cluster
            else Path(cluster["certificate-authority"]).read_text(encoding="utf-8")
        )
        self._tls = ssl.create_default_context(cadata=self.ca)
        self._token: str | None = user.get("token")
        if "client-certificate" in user and "client-key" in user:
            self._tls.load_cert_chain(user["client-certificate"], user["client-key"])

    def call(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        """Raises KubeError."""
        url = urlsplit(self.server)
        connection = http.client.HTTPSConnection(url.hostname or "", url.port or 443, timeout=10, context=self._tls)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = json.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise KubeError(0, f"the Kubernetes API does not answer: {type(error).__name__}") from error
        finally:
            connection.close()
        if response.status >= 400:
            raise KubeError(response.status, str(content.get("message", response.status)))
        return content if isinstance(content, dict) else {}

    def ensure(self, path: str, body: JsonObject) -> None:
        """Creates an object, or replaces the one that is there."""
        try:
            self.call("POST", path, body)
        except KubeError as error:
            if error.status != 409:
                raise
            where = f"{path}/{body['metadata']['name']}"
            current = self.call("GET", where)
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": current["metadata"]["resourceVersion"]}}
            self.call("PUT", where, body)

    def kubeconfig_for(self, token: str, namespace: str) -> str:
        """A kubeconfig of the same cluster for another token."""
        cluster = {
            "server": self.server,
            "certificate-authority-data": base64.b64encode(self.ca.encode()).decode(),
        }
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "local", "cluster": cluster}],
                "users": [{"name": "module", "user": {"token": token}}],
                "contexts": [
                    {"name": "local", "context": {"cluster": "local", "user": "module", "namespace": namespace}}
                ],
                "current-context": "local",
            }
        )


def _named(content: JsonObject, section: str, name: str) -> JsonObject:
    return next(entry for entry in content[section] if entry["name"] == name)
