"""An operator built on an unmodified client-go (tests/cluster/go/client-go-0.36.3): typed and in protobuf."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cluster import clean_environment
from support.testbed_binaries import PROFILES
from support.waiting import eventually

pytestmark = pytest.mark.testbed
PROGRAM = PROFILES["1.36"].path("operator")


class Operator:
    """One instance, and what it told."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str) -> None:
        self.name = name
        self.told: list[dict[str, Any]] = []
        command = [PROGRAM, "--kubeconfig", kubeconfig, "--namespace", namespace, "--id", name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=clean_environment())
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        self.errors: list[str] = []
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.append(json.loads(line))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self.errors += list(self._process.stderr)

    def until(self, what: str, **wanted: Any) -> dict[str, Any]:
        """Wait until something was told."""

        def found() -> dict[str, Any] | None:
            return next((e for e in self.told if e["what"] == what and wanted.items() <= e.items()), None)

        try:
            return dict(eventually(found, what=f"{self.name} tells {what} {wanted}") or {})
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told}\n{''.join(self.errors[-20:])}") from None

    def end(self, by: int = signal.SIGTERM) -> None:
        """End it; on SIGTERM it gives the lease back."""
        if self._process.poll() is None:
            self._process.send_signal(by)
        self._process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def start(cluster) -> Iterator[Any]:
    if not PROGRAM.exists():
        pytest.skip("the program is not built: run `make testbed`")
    started: list[Operator] = []

    def make(namespace: str, name: str) -> Operator:
        started.append(Operator(cluster.kubeconfig, namespace, name))
        return started[-1]

    yield make
    for operator in started:
        operator.end(signal.SIGKILL)


def test_a_leader_is_elected_and_the_next_one_takes_over(cluster, start) -> None:
    namespace = cluster.namespace()
    first = start(namespace, "first")
    first.until("leading")
    assert first.until("applied")["data"] == {"leader": "first"}
    second = start(namespace, "second")
    second.until("follows", leader="first")
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/operator"
    held = cluster.call("GET", lease).body["spec"]
    assert held["holderIdentity"] == "first"
    eventually(lambda: cluster.call("GET", lease).body["spec"]["renewTime"] > held["renewTime"], what="a renewal")
    first.end()
    second.until("leading")
    conflict = second.until("conflict")
    assert conflict["error"] == 'Apply failed with 1 conflict: conflict with "operator-first": .data.leader'
    assert second.until("applied")["data"] == {"leader": "second"}
    assert cluster.call("GET", lease).body["spec"]["leaseTransitions"] >= 1
    events = f"/api/v1/namespaces/{namespace}/events?fieldSelector=reason%3DLeaderElection"
    eventually(lambda: len(cluster.call("GET", events).body["items"]) >= 2, what="events of both elections")


def test_a_leader_that_is_killed_is_followed_when_its_lease_is_over(cluster, start) -> None:
    namespace = cluster.namespace()
    first, second = start(namespace, "first"), None
    first.until("leading")
    second = start(namespace, "second")
    second.until("follows", leader="first")
    first.end(signal.SIGKILL)
    second.until("leading")


def test_caches_of_objects_and_of_metadata_follow(cluster, start) -> None:
    namespace = cluster.namespace()
    services, secrets = cluster.services(namespace), f"/api/v1/namespaces/{namespace}/secrets"
    spec = {"ports": [{"port": 80}]}
    cluster.call("POST", services, {"metadata": {"name": "before"}, "spec": spec})
    operator = start(namespace, "one")
    assert operator.until("connected")["version"].startswith(f"v{cluster.profile}.")
    operator.until("synced")
    operator.until("added", kind="Service", name="before")
    cluster.call("POST", services, {"metadata": {"name": "after"}, "spec": spec})
    operator.until("added", kind="Service", name="after")
    cluster.merge(f"{services}/after", {"metadata": {"labels": {"a": "1"}}})
    operator.until("changed", kind="Service", name="after", labels={"a": "1"})
    cluster.call("DELETE", f"{services}/after")
    operator.until("deleted", kind="Service", name="after")
    cluster.call("POST", secrets, {"metadata": {"name": "hidden"}, "stringData": {"k": "v"}})
    operator.until("added", kind="Secret", name="hidden")
    cluster.call("DELETE", f"{secrets}/hidden")
    operator.until("deleted", kind="Secret", name="hidden")
