"""The cluster every file here runs against: ours by default, a real one when the environment names its kubeconfig.

EDGE_EXPOSE_REAL_CLUSTER_1_36 and EDGE_EXPOSE_REAL_CLUSTER_1_20 hold paths of kubeconfigs of real API servers with
the MetalLB controller of that combination, the endpoints and namespace controllers, and nothing else in them.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.cluster import ClusterProcess, eventually, start_cluster

_OURS = {"1.36": ("127.83.0.10-127.83.0.20", "127.83.128.0/17"), "1.20": ("127.84.0.10-127.84.0.20", "127.84.128.0/17")}


class Answer:
    """One answer of the API."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body

    def __repr__(self) -> str:
        return f"{self.status} {json.dumps(self.body)[:400]}"


class Handle:
    """A plain Kubernetes API and what a test may do to the cluster behind it."""

    def __init__(self, kubeconfig: Path, profile: str, base: str, process: ClusterProcess | None) -> None:
        self.kubeconfig = kubeconfig
        self.profile = profile
        self.base = base
        """First three octets of addresses the pool may use, such as `127.83.0`."""
        self._process = process
        config = yaml.safe_load(kubeconfig.read_text())
        self._server = config["clusters"][0]["cluster"]["server"]
        self.token = config["users"][0]["user"]["token"]
        import base64

        data = config["clusters"][0]["cluster"]["certificate-authority-data"]
        context = ssl.create_default_context(cadata=base64.b64decode(data).decode())
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    # -- requests -----------------------------------------------------------------------------------

    def open(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", token: str | None = None
    ) -> Any:
        """Send a request and return the open response; the caller reads and closes it."""
        headers = {"Content-Type": kind, "Accept": "application/json"}
        token = self.token if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._server + path, method=method, data=data, headers=headers)
        return self._opener.open(request, timeout=20)

    def call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", token: str | None = None
    ) -> Answer:
        """Send a request; refusals are answers too."""
        try:
            with self.open(method, path, body, kind, token) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))

    def merge(self, path: str, body: Any) -> Answer:
        """Send a JSON merge patch."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def watch(self, path: str) -> list[dict[str, Any]]:
        """Read a watch until the server ends it (give it a timeoutSeconds)."""
        with self.open("GET", path) as response:
            assert response.status == 200
            return [json.loads(line) for line in response]

    # -- shortcuts ----------------------------------------------------------------------------------

    def namespace(self) -> str:
        """Make a fresh namespace and return its name."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        answer = self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.status == 201, answer
        return name

    def services(self, namespace: str) -> str:
        """Return the path of a namespace's Services."""
        return f"/api/v1/namespaces/{namespace}/services"

    def balancer(
        self, namespace: str, name: str, spec: dict[str, Any] | None = None, annotations: dict[str, str] | None = None
    ) -> Answer:
        """Create a LoadBalancer Service with one TCP port 8080."""
        body = {
            "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 8080}], **(spec or {})},
        }
        return self.call("POST", self.services(namespace), body)

    def address(self, namespace: str, name: str) -> str:
        """Return the external address now, empty when there is none."""
        body = self.call("GET", f"{self.services(namespace)}/{name}").body
        ingress = (body.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
        return str(ingress[0]["ip"]) if ingress else ""

    def wait_address(self, namespace: str, name: str, wanted: str | None = None) -> str:
        """Wait for an external address (a certain one, when given)."""

        def there() -> str:
            found = self.address(namespace, name)
            return found if wanted is None or found == wanted else ""

        return str(eventually(there, 10, f"address of {namespace}/{name}"))

    def event(self, namespace: str, name: str, reason: str) -> str:
        """Wait for an event about a Service and return its type and message."""

        def found() -> str:
            path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name={name},reason={reason}"
            items = self.call("GET", path).body["items"]
            return f"{items[-1]['type']} {items[-1]['message']}" if items else ""

        return str(eventually(found, 10, f"event {reason} about {name}"))

    # -- capabilities -------------------------------------------------------------------------------

    def set_pool(self, *ranges: str) -> None:
        """Make the pool named `p` consist of these ranges, and wait until nothing else is configured."""
        if self.profile == "1.36":
            path = "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools"
            found = self.call("GET", path).body["items"]
            for pool in found:
                if pool["metadata"]["name"] != "p":
                    self.call("DELETE", f"{path}/{pool['metadata']['name']}")
            if any(pool["metadata"]["name"] == "p" for pool in found):
                assert self.merge(f"{path}/p", {"spec": {"addresses": list(ranges)}}).status == 200
                return
            head = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "p"}}
            answer = self.call("POST", path, {**head, "spec": {"addresses": list(ranges)}})
            assert answer.status == 201, answer
            return
        pool = {"name": "p", "protocol": "layer2", "addresses": list(ranges)}
        text = yaml.safe_dump({"address-pools": [pool]})
        answer = self.merge("/api/v1/namespaces/metallb-system/configmaps/config", {"data": {"config": text}})
        assert answer.status == 200, answer
        if self._process is None:
            time.sleep(1.0)  # nothing tells when MetalLB 0.10 has taken over its ConfigMap

    @property
    def can_restart(self) -> bool:
        """Tell whether this cluster can be killed and started again."""
        return self._process is not None

    def restart(self) -> None:
        """Kill everything without warning and start it again."""
        if self._process is None:
            pytest.skip("this cluster cannot be restarted from here")
        self._process.restart()

    def run_pod(self, namespace: str, name: str, labels: dict[str, str], ip: str = "10.244.7.7") -> None:
        """Make a pod that is Ready and has an address, by writing its status (no kubelet is needed)."""
        self.call("POST", "/api/v1/nodes", {"metadata": {"name": "node1"}})  # endpoints need the node to exist
        container = {"name": "c", "image": "none/none:1", "ports": [{"name": "http", "containerPort": 8080}]}
        spec = {"containers": [container], "nodeName": "node1", "terminationGracePeriodSeconds": 0}
        pods = f"/api/v1/namespaces/{namespace}/pods"
        answer = self.call("POST", pods, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        assert answer.status == 201, answer
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        answer = self.merge(f"{pods}/{name}/status", {"status": status})
        assert answer.status == 200, answer


@pytest.fixture(scope="session", params=["1.36", "1.20"])
def _cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    profile = str(request.param)
    real = os.environ.get(f"EDGE_EXPOSE_REAL_CLUSTER_{profile.replace('.', '_')}")
    if real:
        yield Handle(Path(real), profile, "127.97.0", None)
        return
    if any(name.startswith("EDGE_EXPOSE_REAL_CLUSTER_") for name in os.environ):
        pytest.skip("only real clusters were asked for")
    pool, cidr = _OURS[profile]
    process = start_cluster(tmp_path_factory.mktemp(f"agreement-{profile}"), profile, pool, cidr)
    yield Handle(process.kubeconfig, profile, pool.split("-")[0].rsplit(".", 1)[0], process)
    process.stop()


@pytest.fixture
def cluster(_cluster: Handle) -> Iterator[Handle]:
    """The cluster with an eleven-address pool and no LoadBalancer Services."""
    _cluster.set_pool(f"{_cluster.base}.10-{_cluster.base}.20")
    yield _cluster
    for service in _cluster.call("GET", "/api/v1/services?fieldSelector=metadata.namespace!=kube-system").body["items"]:
        meta = service["metadata"]
        if meta["namespace"].startswith("t-"):
            _cluster.call("DELETE", f"{_cluster.services(meta['namespace'])}/{meta['name']}")
