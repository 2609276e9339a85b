"""Deployments and ReplicaSets: as many pods as are wanted, and from one template to the next a few at a time."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from support.cluster import clean_environment
from support.testbed_binaries import kubectl
from support.waiting import PATIENCE, eventually

READY = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
LABELS = {"app": "w"}


def deployment(replicas: int = 2, image: str = "none/none:1", **more: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": image}], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **more},
    }


class Home:
    """A namespace with workloads in it. Nobody runs their pods: tests say which are ready."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.namespace = cluster.namespace()
        self.apps = f"/apis/apps/v1/namespaces/{self.namespace}"
        self.deployment = f"{self.apps}/deployments/d"
        self.pods_path = f"/api/v1/namespaces/{self.namespace}/pods"

    def make(self, **more: Any) -> Any:
        answer = self.cluster.call("POST", f"{self.apps}/deployments", deployment(**more))
        assert answer.status == 201, answer
        return answer.body

    def items(self, path: str) -> list[dict[str, Any]]:
        return list(self.cluster.call("GET", path).body["items"])

    def sets(self) -> list[dict[str, Any]]:
        return sorted(self.items(f"{self.apps}/replicasets"), key=lambda s: s["metadata"]["annotations"][REVISION])

    def pods(self, image: str = "") -> list[dict[str, Any]]:
        active = [p for p in self.items(self.pods_path) if "deletionTimestamp" not in p["metadata"]]
        return [p for p in active if not image or p["spec"]["containers"][0]["image"] == image]

    def wait_pods(self, count: int, image: str = "") -> list[dict[str, Any]]:
        return list(eventually(lambda: (p := self.pods(image)) and len(p) == count and p, what=f"{count} pods"))

    def make_ready(self, pods: list[dict[str, Any]]) -> None:
        for pod in pods:
            status = {"phase": "Running", "conditions": READY}
            path = f"{self.pods_path}/{pod['metadata']['name']}/status"
            assert self.cluster.merge(path, {"status": status}).status in (200, 404)

    def status(self) -> dict[str, Any]:
        return dict(self.cluster.call("GET", self.deployment).body["status"])

    def wait_status(self, **wanted: int) -> None:
        eventually(lambda: wanted.items() <= self.status().items(), what=f"{wanted}")


REVISION = "deployment.kubernetes.io/revision"
SIZES = ("deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas")


@pytest.fixture
def home(cluster) -> Home:
    return Home(cluster)


def test_a_deployment_has_a_set_and_the_set_has_pods(cluster, home) -> None:
    home.make(replicas=2)
    pods = home.wait_pods(2)
    (found,) = home.sets()
    owner = found["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == (
        "Deployment",
        "d",
        True,
        True,
    )
    code = found["metadata"]["labels"]["pod-template-hash"]
    assert found["metadata"]["name"] == f"d-{code}"
    assert found["spec"]["selector"]["matchLabels"] == {**LABELS, "pod-template-hash": code}
    annotations = found["metadata"]["annotations"]
    assert [annotations[key] for key in (REVISION, *SIZES)] == ["1", "2", "3"]
    for pod in pods:
        assert pod["metadata"]["name"].startswith(f"d-{code}-")
        assert pod["metadata"]["labels"] == {**LABELS, "pod-template-hash": code}
        owner = pod["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ReplicaSet", f"d-{code}", found["metadata"]["uid"])
    home.wait_status(replicas=2, updatedReplicas=2, unavailableReplicas=2, observedGeneration=1)
    home.make_ready(pods)
    home.wait_status(readyReplicas=2, availableReplicas=2)
    conditions = {c["type"]: (c["status"], c["reason"]) for c in home.status()["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert "unavailableReplicas" not in home.status()
    since = " from 0" if cluster.profile == "1.36" else ""
    message = f"Scaled up replica set d-{code}{since} to 2"
    events = f"/api/v1/namespaces/{home.namespace}/events?fieldSelector=reason%3DScalingReplicaSet"
    eventually(lambda: message in [e["message"] for e in home.items(events)], what="the event")


def test_a_pod_that_is_deleted_is_replaced(cluster, home) -> None:
    home.make(replicas=1)
    (pod,) = home.wait_pods(1)
    assert cluster.call("DELETE", f"{home.pods_path}/{pod['metadata']['name']}").status == 200
    eventually(lambda: [p for p in home.pods() if p["metadata"]["uid"] != pod["metadata"]["uid"]], what="another pod")


def test_it_is_scaled_by_its_scale(cluster, home) -> None:
    made = home.make(replicas=1)
    home.wait_pods(1)
    scale = cluster.call("GET", f"{home.deployment}/scale").body
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 1})
    assert scale["status"]["selector"] == "app=w"
    answer = cluster.merge(f"{home.deployment}/scale", {"spec": {"replicas": 3}})
    assert (answer.status, answer.body["spec"]) == (200, {"replicas": 3})
    home.wait_pods(3)
    (found,) = home.sets()
    assert [found["metadata"]["annotations"][key] for key in SIZES] == ["3", "4"]
    body = {"metadata": {"name": "d", "namespace": home.namespace}, "spec": {"replicas": 1}}
    assert cluster.call("PUT", f"{home.deployment}/scale", body).status == 200
    home.wait_pods(1)
    assert cluster.call("GET", home.deployment).body["metadata"]["generation"] == made["metadata"]["generation"] + 2


def test_a_new_template_comes_a_few_pods_at_a_time(cluster, home) -> None:
    home.make(replicas=4)
    home.make_ready(home.wait_pods(4))
    home.wait_status(availableReplicas=4)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "none/none:2"}]}}}}
    kind = "application/strategic-merge-patch+json"
    assert cluster.call("PATCH", home.deployment, image, kind).status == 200
    new = home.wait_pods(2, "none/none:2")  # a quarter more, and a quarter less of the old
    home.wait_pods(3, "none/none:1")
    home.make_ready(new)
    eventually(lambda: len(home.pods("none/none:2")) > 2, what="the next ones")

    def all_new() -> bool:
        new = home.pods("none/none:2")
        unready = [pod for pod in new if not pod["status"].get("conditions")]
        home.make_ready(unready)
        return len(new) == 4 and not unready and not home.pods("none/none:1")

    eventually(all_new, what="all pods of the new template")
    home.wait_status(replicas=4, updatedReplicas=4, availableReplicas=4)
    first, second = home.sets()
    assert (first["spec"]["replicas"], second["spec"]["replicas"]) == (0, 4)
    annotations = cluster.call("GET", home.deployment).body["metadata"]["annotations"]
    assert annotations[REVISION] == second["metadata"]["annotations"][REVISION] == "2"


def test_each_template_is_a_revision_also_of_a_deployment_without_pods(cluster, home) -> None:
    home.make(replicas=0)
    kind = "application/strategic-merge-patch+json"
    for number in range(2, 5):
        image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"none/none:{number}"}]}}}}
        assert cluster.call("PATCH", home.deployment, image, kind).status == 200

        def reached(wanted: str = str(number)) -> bool:
            found = cluster.call("GET", home.deployment).body
            seen = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return seen and found["metadata"]["annotations"].get(REVISION) == wanted

        eventually(reached, what=f"revision {number}")
    conditions = {c["type"]: (c["status"], c["reason"]) for c in home.status()["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert cluster.call("GET", f"{home.deployment}/scale").body["spec"] == {}


def test_a_deployment_that_recreates_ends_the_old_pods_first(cluster, home) -> None:
    home.make(replicas=2, strategy={"type": "Recreate"})
    home.make_ready(home.wait_pods(2))
    kind = "application/strategic-merge-patch+json"
    image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "none/none:2"}]}}}}
    cluster.call("PATCH", home.deployment, image, kind)
    home.wait_pods(2, "none/none:2")
    assert home.pods("none/none:1") == []


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_what_it_owns_goes_with_it_or_stays(cluster, home, policy: str) -> None:
    home.make(replicas=1)
    home.wait_pods(1)
    assert cluster.call("DELETE", home.deployment, {"propagationPolicy": policy}).status == 200
    eventually(lambda: cluster.call("GET", home.deployment).status == 404, what="the deployment is gone")
    if policy == "Orphan":
        (left,) = home.sets()
        assert "ownerReferences" not in left["metadata"]
        assert len(home.pods()) == 1
    else:
        eventually(lambda: not home.sets() and not home.items(home.pods_path), what="all is gone")


def test_a_set_adopts_pods_that_nobody_controls(cluster, home) -> None:
    spec = {"containers": [{"name": "c", "image": "none/none:1"}]}
    own = {"metadata": {"name": "own", "labels": LABELS}, "spec": spec}
    assert cluster.call("POST", home.pods_path, own).status == 201
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    body = {
        "metadata": {"name": "r"},
        "spec": {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template},
    }
    made = cluster.call("POST", f"{home.apps}/replicasets", body)
    assert (made.status, made.body["status"]) == (201, {"replicas": 0})
    owners = lambda: [p["metadata"].get("ownerReferences", [{}])[0].get("name") for p in home.pods()]  # noqa: E731
    eventually(lambda: owners() == ["r", "r"], what="two pods, one adopted")


def shown(cluster: Any, new: str, old: str) -> str:
    return new if cluster.profile == "1.36" else old


MISMATCH = "`selector` does not match template `labels`"


@pytest.mark.parametrize(
    ("more", "new", "old"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0", None),
        (
            {"selector": {"matchLabels": {"app": "x"}}},
            f'spec.template.metadata.labels: Invalid value: {{"app":"w"}}: {MISMATCH}',
            f'spec.template.metadata.labels: Invalid value: map[string]string{{"app":"w"}}: {MISMATCH}',
        ),
        (
            {"selector": {}},
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
            "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
            "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for deployment",
        ),
        (
            {"selector": None},
            f'[spec.selector: Required value, spec.template.metadata.labels: Invalid value: {{"app":"w"}}: {MISMATCH}]',
            "[spec.selector: Required value, spec.template.metadata.labels: Invalid value: "
            f'map[string]string{{"app":"w"}}: {MISMATCH}]',
        ),
        (
            {"template": {"metadata": {"labels": LABELS}, "spec": {}}},
            "spec.template.spec.containers: Required value",
            None,
        ),
        (
            {"strategy": {"type": "X"}},
            'spec.strategy: Unsupported value: {"Type":"X","RollingUpdate":null}: '
            'supported values: "Recreate", "RollingUpdate"',
            'spec.strategy: Unsupported value: apps.DeploymentStrategy{Type:"X", '
            'RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}: supported values: "Recreate", "RollingUpdate"',
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            None,
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:0, IntVal:0, StrVal:""}'
            ": may not be 0 when `maxSurge` is 0",
        ),
    ],
)
def test_a_bad_deployment_is_refused(cluster, home, more: dict[str, Any], new: str, old: str | None) -> None:
    answer = cluster.call("POST", f"{home.apps}/deployments", deployment(**more))
    assert answer.status == 422
    assert answer.body["message"] == f'Deployment.apps "d" is invalid: {shown(cluster, new, old or new)}'


def test_a_selector_does_not_change(cluster, home) -> None:
    home.make(replicas=0)
    answer = cluster.merge(home.deployment, {"spec": {"selector": {"matchLabels": {"app": "z"}}}})
    assert answer.status == 422
    assert "field is immutable" in answer.body["message"]
    assert MISMATCH in answer.body["message"]


def test_kubectl_rolls_out_and_back(cluster, home) -> None:
    program = kubectl()
    if program is None:
        pytest.skip("no kubectl here")

    def run(*arguments: str) -> str:
        command = [program, "--kubeconfig", str(cluster.kubeconfig), "-n", home.namespace, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment(), check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run("create", "deployment", "d", "--image=none/none:1", "--replicas=1")

    def settle(image: str) -> str:
        home.make_ready(home.pods(image))
        return run("rollout", "status", "deployment/d", f"--timeout={PATIENCE / 2:.0f}s")

    def there(image: str) -> Any:
        return eventually(lambda: home.pods(image), what=image)

    there("none/none:1")
    assert 'deployment "d" successfully rolled out' in settle("none/none:1")
    run("set", "image", "deployment/d", "none=none/none:2")
    there("none/none:2")
    assert "successfully rolled out" in settle("none/none:2")
    assert "deployment.apps/d rolled back" in run("rollout", "undo", "deployment/d")
    there("none/none:1")
    settle("none/none:1")
    assert run("get", "deployment", "d", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "none/none:1"
    wide = run("get", "deployment", "d", "-o", "wide").splitlines()
    assert wide[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1].split()[:4] == ["d", "1/1", "1", "1"]
    run("delete", "deployment", "d")
