"""The cluster every file here runs against: both profiles of ours, and both real combinations they stand for.

A real one (`make testbed` builds it) is started here, on loopback, and is wiped as it pleases the tests. A person's own
cluster, named by EDGE_EXPOSE_TEST_KUBECONFIG, joins in for the tests that only touch namespaces they made.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from support.cluster import ClusterProcess, start_cluster
from support.situations.bed import Bed
from support.situations.beds import bed_of
from support.testbed_api import Api
from support.testbed_binaries import LOOPBACK, why_not
from support.testbed_loopback import RealCluster, start_real_cluster
from support.waiting import PATIENCE, eventually

_PERSONS = os.environ.get("EDGE_EXPOSE_TEST_KUBECONFIG", "")
_OURS = ("1.36", "1.20")
_REAL = {"1.36": "127.97.36", "1.20": "127.97.20"}


class Restartable(Protocol):
    """A cluster that this run started."""

    def restart(self) -> None: ...


class NothingToWaitFor:
    """Our own cluster handles a deletion before it answers the next request."""

    def wait_released(self) -> None: ...

    def wait_in_use(self, count: Callable[[], int]) -> None: ...

    def wait_taken_in(self) -> None: ...

    def wait_pool_taken(self) -> None: ...


class Answer:
    """One answer of the API."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body

    def __repr__(self) -> str:
        return f"{self.status} {json.dumps(self.body)[:400]}"


@dataclass(frozen=True)
class Raw:
    """One answer as it came."""

    status: int
    kind: str
    data: bytes


def _content(data: bytes) -> Any:
    """JSON as what it holds, other text as text."""
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


class Handle:
    """A plain Kubernetes API and what a test may do to the cluster behind it."""

    def __init__(self, kubeconfig: Path, profile: str, base: str, process: Restartable | None, name: str) -> None:
        self.kubeconfig = kubeconfig
        self.profile = profile
        self.name = name
        self._base = base
        self._process = process
        self._balancer = process.metallb if isinstance(process, RealCluster) else NothingToWaitFor()
        self._made: list[str] = []
        content = yaml.safe_load(kubeconfig.read_text())
        self._server = content["clusters"][0]["cluster"]["server"]
        user = content["users"][0]["user"]
        if "token" not in user:
            pytest.skip("only kubeconfigs with a bearer token are understood here")
        self.token = user["token"]
        self._api = Api(kubeconfig)
        data = content["clusters"][0]["cluster"]["certificate-authority-data"]
        context = ssl.create_default_context(cadata=base64.b64decode(data).decode())
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    @property
    def base(self) -> str:
        """First three octets of addresses the pool may use, such as `127.180.0`."""
        self._must_be_ours()
        return self._base

    @property
    def real(self) -> bool:
        """Tell whether this is a real Kubernetes."""
        return not self.name.startswith("embedded")

    def _must_be_ours(self) -> None:
        if self._process is None:
            pytest.skip("this cluster belongs to a person: its pool is not touched and it is not restarted")

    # -- requests -----------------------------------------------------------------------------------

    def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        token: str | None = None,
        seconds: float = 20,
        more: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return the open response; the caller reads and closes it. `more` are further headers."""
        headers = {"Content-Type": kind, "Accept": "application/json", **(more or {})}
        token = self.token if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self._server + path, method=method, data=data, headers=headers)
        return self._opener.open(request, timeout=seconds)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        token: str | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; refusals are answers too. A body of bytes goes as it is."""
        if token is None and more is None and self._process is not None:
            status, data = self._api.raw(method, path, body, kind)
            return Answer(status, _content(data))
        try:
            with self.open(method, path, body, kind, token, more=more) as response:
                return Answer(response.status, _content(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _content(error.read()))

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> Raw:
        """Send a request and return the answer as it came, in the form that `accept` asks for."""
        try:
            with self.open(method, path, body, kind, more={"Accept": accept}) as response:
                return Raw(response.status, response.headers.get("Content-Type", ""), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Raw(error.code, error.headers.get("Content-Type", ""), error.read())

    def account(self, namespace: str, name: str) -> str:
        """Make a ServiceAccount and return a token of it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.call("POST", path, {"metadata": {"name": name}})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.call("POST", f"{path}/{name}/token", body).body["status"]["token"])

    def merge(self, path: str, body: Any) -> Answer:
        """Send a JSON merge patch."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def watch(self, path: str) -> list[dict[str, Any]]:
        """Read a watch until the server ends it (give it a timeoutSeconds)."""
        with self.open("GET", path) as response:
            assert response.status == 200
            return [json.loads(line) for line in response]

    def bed(self) -> Bed:
        """This cluster for the situations of the recordings, which set its pools as they need them."""
        self._must_be_ours()
        assert isinstance(self._process, RealCluster | ClusterProcess)
        return bed_of(self._process, self._base)

    def watch_until(self, path: str, count: int) -> list[dict[str, Any]]:
        """Read a watch until it has told so many events; the server ends none of these before that."""
        with self.open("GET", path, seconds=PATIENCE) as response:
            assert response.status == 200
            return [json.loads(line) for line in itertools.islice(response, count)]

    # -- shortcuts ----------------------------------------------------------------------------------

    def namespace(self) -> str:
        """Make a fresh namespace and return its name."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        answer = self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.status == 201, answer
        self._made.append(name)
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

        return str(eventually(there, what=f"address of {namespace}/{name}"))

    def event(self, namespace: str, name: str, reason: str) -> str:
        """Wait for an event about a Service and return its type and message."""

        def found() -> str:
            path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name={name},reason={reason}"
            items = self.call("GET", path).body["items"]
            return f"{items[-1]['type']} {items[-1]['message']}" if items else ""

        return str(eventually(found, what=f"event {reason} about {name}"))

    # -- capabilities -------------------------------------------------------------------------------

    def set_pool(self, *ranges: str, must_load: bool = True) -> None:
        """Make the pool named `p` consist of these ranges, and wait until nothing else is configured."""
        self._must_be_ours()
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
        if must_load:
            self._balancer.wait_pool_taken()

    def restart(self) -> None:
        """Kill everything without warning and start it again."""
        self._must_be_ours()
        assert self._process is not None
        self._process.restart()
        self._wait_until_it_balances()

    def restart_balancer(self, meanwhile: Callable[[], object]) -> None:
        """Kill MetalLB 0.16 and start it again; do something as soon as it takes in the Services it finds."""
        assert isinstance(self._process, RealCluster)
        balancer = self._process.metallb
        balancer.kill()
        balancer.launch()
        balancer.wait_taking_in()
        meanwhile()
        balancer.wait_taken_in()

    def _wait_until_it_balances(self) -> None:
        """Until the load balancer has taken in the Services it finds, served one more and forgotten that again.

        Until then MetalLB 0.16 does not hear of a Service that is deleted, and keeps its address until another one of
        that name is deleted.
        """

        def held() -> int:
            there = self.call("GET", "/api/v1/services").body["items"]
            return len({each["ip"] for s in there for each in s["status"]["loadBalancer"].get("ingress") or []})

        namespace = self.namespace()
        self._balancer.wait_taken_in()
        self.balancer(namespace, "one-more")
        self.wait_address(namespace, "one-more")
        self.call("DELETE", f"{self.services(namespace)}/one-more")
        self._balancer.wait_in_use(held)

    def clear(self) -> None:
        """Remove the Services of the namespaces made here; on a person's cluster the namespaces too."""
        for namespace in self._made:
            for service in self.call("GET", self.services(namespace)).body["items"]:
                self.call("DELETE", f"{self.services(namespace)}/{service['metadata']['name']}")
            if self._process is None:
                self.call("DELETE", f"/api/v1/namespaces/{namespace}")
        self._made.clear()
        self._balancer.wait_released()

    def run_pod(self, namespace: str, name: str, labels: dict[str, str], ip: str = "10.244.7.7") -> None:
        """Make a pod that is Ready and has an address, by writing its status (no kubelet is needed)."""
        self._must_be_ours()
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


def _parameters() -> list[Any]:
    found: list[Any] = [pytest.param(f"embedded-{profile}") for profile in _OURS]
    found += [pytest.param(f"real-{profile}", marks=pytest.mark.testbed) for profile in _REAL]
    return found + ([pytest.param("person", marks=pytest.mark.testbed)] if _PERSONS else [])


@pytest.fixture(scope="session", params=_parameters())
def _cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    name = str(request.param)
    kind, _, profile = name.partition("-")
    if kind == "person":
        handle = Handle(Path(_PERSONS), "1.36", "", None, name)
        minor = int(handle.call("GET", "/version").body["minor"].rstrip("+"))
        handle.profile = "1.20" if minor < 21 else "1.36"
        yield handle
        return
    folder = tmp_path_factory.mktemp(f"agreement-{name}")
    if kind == "embedded":
        process = start_cluster(folder, profile)
        yield Handle(process.kubeconfig, profile, process.base, process, name)
        process.stop()
        assert process.failures() == []
        return
    reason = why_not(profile, LOOPBACK)
    if reason:
        pytest.skip(reason)
    real = start_real_cluster(profile, folder, f"{_REAL[profile]}.10-{_REAL[profile]}.20")
    yield Handle(real.kubeconfig, profile, _REAL[profile], real, name)
    real.stop()


@pytest.fixture
def cluster(_cluster: Handle) -> Iterator[Handle]:
    """The cluster with an eleven-address pool and no LoadBalancer Services."""
    if _cluster.name != "person":
        _cluster.set_pool(f"{_cluster.base}.10-{_cluster.base}.20")
    yield _cluster
    _cluster.clear()
