"""kubectl on the less trodden paths: merging, pruning, explaining and dumping."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.cluster import clean_environment
from support.testbed_binaries import kubectl

STRATEGIC = "application/strategic-merge-patch+json"


class Kubectl:
    """Runs it in a namespace of its own. What it finds out of a server it keeps by host and port, which a cluster of
    another version may have had before: each has a folder of its own for that."""

    def __init__(self, cluster: Any, program: str, cache: Path) -> None:
        self.namespace = cluster.namespace()
        server = ["--kubeconfig", str(cluster.kubeconfig), "--cache-dir", str(cache)]
        self._command = [program, *server, "-n", self.namespace]

    def __call__(self, *arguments: str, stdin: Any = None) -> str:
        done = self._run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, stdin: Any = None) -> str:
        """What it says when it fails."""
        done = self._run(*arguments, stdin=stdin)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _run(self, *arguments: str, stdin: Any) -> subprocess.CompletedProcess[str]:
        text = None if stdin is None else json.dumps(stdin)
        command = [*self._command, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, env=clean_environment())


@pytest.fixture
def run(cluster, tmp_path: Path) -> Kubectl:
    program = kubectl()
    if program is None:
        pytest.skip("no kubectl here")
    return Kubectl(cluster, program, tmp_path)


def config(name: str) -> dict[str, Any]:
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    return {**head, "metadata": {"name": name, "labels": {"set": "one"}}, "data": {"a": name}}


def listed(*items: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def test_what_is_not_applied_any_more_is_pruned(cluster, run) -> None:
    run("apply", "-f", "-", stdin=listed(config("a"), config("b")))
    only = ["--prune-allowlist=core/v1/ConfigMap"]
    if cluster.profile == "1.36":
        only = []  # an old server lacks kinds that this kubectl looks at by itself
    told = run("apply", "-f", "-", "--prune", "-l", "set=one", *only, stdin=listed(config("b")))
    assert "configmap/a pruned" in told
    names = [item["metadata"]["name"] for item in json.loads(run("get", "configmaps", "-o", "json"))["items"]]
    assert "b" in names
    assert "a" not in names


def test_the_state_of_a_namespace_is_dumped(cluster, run) -> None:
    run("apply", "-f", "-", stdin=config("a"))
    dumped = run("cluster-info", "dump", "--namespaces", run.namespace)
    assert '"kind": "EventList"' in dumped
    assert '"kind": "ReplicaSetList"' in dumped


def test_pods_and_deployments_are_explained_field_by_field(cluster, run) -> None:
    assert "containerPort" in run("explain", "pods.spec.containers.ports")
    assert "maxSurge" in run("explain", "deployments.spec.strategy.rollingUpdate")
    assert "KIND:" in run("explain", "service")


EXPLAINED = [
    "configmaps",
    "deployments",
    "deployments.spec",
    "deployments.spec.template.spec.containers",
    "namespaces",
    "pods",
    "pods.spec.containers.ports",
    "rolebindings",
    "secrets",
    "services",
    "services.metadata",
    "services.spec",
    "services.spec.ports",
    "services.status",
]


@pytest.mark.parametrize("path", EXPLAINED)
def test_types_and_fields_are_described(cluster, run, path: str) -> None:
    told = run("explain", path)
    _, found, rest = told.partition("DESCRIPTION:")
    text, fields, described = rest.partition("FIELDS:")
    assert (found, fields) == ("DESCRIPTION:", "FIELDS:"), told
    assert text.strip() not in ("", "<empty>"), told
    assert re.search(r"^ {2,4}\w+\t<.*>.*\n {4,6}\w", described, re.MULTILINE), told


def test_a_field_that_is_not_known_is_refused_before_or_by_the_server(cluster, run) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    refused = run.refused("apply", "-f", "-", stdin={**service, "spec": {"ports": [{"port": 80}], "prots": []}})
    assert re.search(r'unknown field "(spec\.)?prots"', refused), refused
    refused = run.refused("create", "-f", "-", stdin={**service, "spec": {"ports": [{"port": 80, "prot": "TCP"}]}})
    assert re.search(r'unknown field "(spec\.ports\[0\]\.)?prot"', refused), refused
    assert "service/s created" in run("apply", "-f", "-", stdin={**service, "spec": {"ports": [{"port": 80}]}})


def test_what_was_applied_by_the_client_goes_on_by_the_server(cluster, run) -> None:
    """kubectl hands its fields over to a new manager, which owns the lists and maps themselves from then on."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "labels": {"a": "b"}}}
    ports = [{"name": "one", "port": 80}, {"name": "two", "port": 81}]
    run("apply", "-f", "-", stdin={**service, "spec": {"selector": {"x": "y"}, "ports": ports}})
    arguments = ["apply", "-f", "-", "--server-side", "--field-manager=other"]
    assert "s serverside-applied" in run(
        *arguments, stdin={**service, "spec": {"selector": {"x": "y"}, "ports": ports}}
    )
    run(*arguments, stdin={**service, "spec": {"selector": {"x": "y"}, "ports": ports[:1]}})
    found = json.loads(run("get", "service", "s", "-o", "json", "--show-managed-fields"))
    assert [port["name"] for port in found["spec"]["ports"]] == ["one"]
    assert (found["spec"]["selector"], found["metadata"]["labels"]) == ({"x": "y"}, {"a": "b"})
    (entry,) = found["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("other", "Apply")
    assert entry["fieldsV1"]["f:metadata"] == {"f:labels": {"f:a": {}}}


def test_a_kind_that_is_not_known_says_so(cluster, run) -> None:
    body = {"apiVersion": "v1", "kind": "Nope", "metadata": {"name": "x"}}
    assert 'no matches for kind "Nope" in version "v1"' in run.refused("apply", "-f", "-", stdin=body)


def test_what_there_is_is_got_at_once(cluster, run) -> None:
    run("create", "deployment", "d", "--image=none/none:1", "--replicas=0")
    assert "deployment.apps/d" in run("get", "all", "-o", "name")


@pytest.fixture
def service(cluster) -> str:
    path = cluster.services(cluster.namespace())
    ports = [{"name": "p80", "port": 80}]
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": ports}}).status == 201
    return f"{path}/s"


def test_a_strategic_merge_without_an_order_puts_its_own_items_first(cluster, service) -> None:
    def merged(*numbers: int) -> list[int]:
        ports = [{"name": f"p{number}", "port": number} for number in numbers]
        answer = cluster.call("PATCH", service, {"spec": {"ports": ports}}, STRATEGIC)
        assert answer.status == 200, answer
        return [port["port"] for port in answer.body["spec"]["ports"]]

    assert merged(85, 83) == [85, 83, 80]
    assert merged(79, 83, 99) == [79, 85, 83, 99, 80]
    finalizers = {"metadata": {"finalizers": ["acme.com/c"]}}
    cluster.call("PATCH", service, finalizers, STRATEGIC)
    more = {"metadata": {"finalizers": ["acme.com/b", "acme.com/a"]}}
    answer = cluster.call("PATCH", service, more, STRATEGIC)
    assert answer.body["metadata"]["finalizers"] == ["acme.com/b", "acme.com/a", "acme.com/c"]
    cluster.merge(service, {"metadata": {"finalizers": None}})


def test_the_status_of_a_service_is_replaced_without_a_version(cluster) -> None:
    path = cluster.services(cluster.namespace())
    spec = {"type": "LoadBalancer", "loadBalancerClass": "acme.com/none", "ports": [{"port": 80}]}
    made = cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": spec}).body
    meta = {"name": "s", "namespace": made["metadata"]["namespace"]}
    condition = {
        "type": "A",
        "status": "True",
        "reason": "r",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {**made, "metadata": meta, "status": {"conditions": [condition]}}
    answer = cluster.call("PUT", f"{path}/s/status", body)
    assert (answer.status, answer.body["status"]["conditions"]) == (200, [condition])
