"""What goes wrong around the load balancer: the real controller on both profiles and both real combinations."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.testbed_module import ModuleBench
from support.waiting import eventually

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@pytest.fixture
def module(cluster, tmp_path: Path) -> Iterator[ModuleBench]:
    bench = ModuleBench(cluster, cluster.namespace(), tmp_path)
    cluster.run_pod(bench.namespace, "w1", {"app": "w"})
    yield bench
    bench.remove_rights()


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=w"], "ports": ["8080:80"], **more}


def path(bench: ModuleBench, name: str) -> str:
    return f"/api/v1/namespaces/{bench.namespace}/services/{name}"


def test_a_service_that_hangs_in_terminating_holds_its_address_and_names_the_finalizer(cluster, module) -> None:
    held = f"{cluster.base}.12"
    module.desire({"web": web(address=held)})
    module.until("web", "Ready", held)
    finalizers = {"metadata": {"finalizers": ["example.com/slow"]}}
    assert cluster.merge(path(module, "web"), finalizers).status == 200
    cluster.call("DELETE", path(module, "web"))
    entry = module.until("web", "Pending", held, "ServiceTerminating")
    assert "example.com/slow" in entry["message"]
    module.desire({"web": web(address=held), "thief": web(address=held, ports=["81:80"])})
    module.until("thief", "Blocked", reason="AddressTaken")
    cluster.merge(path(module, "web"), {"metadata": {"finalizers": None}})
    module.until("web", "Ready", held)
    module.desire({"web": web(address=held)})
    module.until_true(lambda: module.service("thief") == {}, "the other one is gone")


def test_a_quota_is_told_as_a_quota(cluster, module) -> None:
    if not cluster.real:
        pytest.skip("only on the real cluster: the stand-in has no quotas, and says so by not serving them")
    quotas = f"/api/v1/namespaces/{module.namespace}/resourcequotas"
    hard = {"services.loadbalancers": "0"}
    cluster.call("POST", quotas, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    # Its controller does not run here: that it is counted is written by hand.
    cluster.merge(f"{quotas}/few/status", {"status": {"hard": hard, "used": hard}})

    def refused() -> bool:
        module.desire({"web": web(), "inside": web(type="ClusterIP")})
        module.run(1)
        if module.exposure("web").get("reason") == "QuotaExceeded":
            return True
        module.desire({})
        module.run(2)
        return False

    eventually(refused, what="the quota is in force")
    entry = module.exposure("web")
    assert entry["state"] == "Blocked"
    assert "exceeded quota: few" in entry["message"]
    assert "raise the quota" in entry["message"]
    module.until("inside", "Ready")
    cluster.call("DELETE", f"{quotas}/few")
    module.until("web", "Ready", f"{cluster.base}.10")


def test_an_admission_policy_is_told_as_a_policy(cluster, module) -> None:
    if not cluster.real or cluster.profile != "1.36":
        pytest.skip("only on real 1.36 are there admission policies; webhooks are understood by their recorded answers")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}
    checks = [{"expression": "object.spec.type != 'LoadBalancer'", "message": "ask the network team"}]
    spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": checks}
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": module.namespace}}}
    bound = {"policyName": "site", "validationActions": ["Deny"], "matchResources": only}
    cluster.call("POST", POLICIES, {"metadata": {"name": "site"}, "spec": spec})
    cluster.call("POST", BINDINGS, {"metadata": {"name": "site"}, "spec": bound})
    try:

        def refused() -> bool:
            module.desire({"web": web()})
            module.run(1)
            if module.exposure("web").get("reason") == "PolicyDenied":
                return True
            module.desire({})
            module.run(2)
            return False

        eventually(refused, what="the policy is in force")
        assert "ask the network team" in module.exposure("web")["message"]
    finally:
        cluster.call("DELETE", f"{BINDINGS}/site")
        cluster.call("DELETE", f"{POLICIES}/site")
    module.until("web", "Ready")


def test_a_namespace_on_its_way_out_is_told_as_that(cluster, module) -> None:
    if not cluster.real:
        pytest.skip("only on the real cluster: the stand-in deletes a namespace at once")
    other = cluster.namespace()
    # The Role in it goes first, so rights that reach beyond it are needed to be told why.
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    name = f"everywhere-{other}"
    rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch", "create", "patch"]}
    account = {"kind": "ServiceAccount", "name": "edge-expose", "namespace": module.namespace}
    bound = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}}
    cluster.call("POST", f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
    cluster.call("POST", f"{rbac}/clusterrolebindings", {"metadata": {"name": name}, "subjects": [account], **bound})
    # Something of it does not go: so it stays terminating.
    body = {"metadata": {"name": "stays", "finalizers": ["example.com/slow"]}}
    assert cluster.call("POST", f"/api/v1/namespaces/{other}/configmaps", body).status == 201
    cluster.call("DELETE", f"/api/v1/namespaces/{other}")
    try:
        module.desire({"web": web(namespace=other), "fine": web(ports=["81:80"])})
        entry = module.until("web", "Blocked", reason="NamespaceTerminating")
        assert other in entry["message"]
        module.until("fine", "Ready")
    finally:
        cluster.merge(f"/api/v1/namespaces/{other}/configmaps/stays", {"metadata": {"finalizers": None}})
        cluster.call("DELETE", f"{rbac}/clusterrolebindings/{name}")
        cluster.call("DELETE", f"{rbac}/clusterroles/{name}")


def test_endpoints_that_may_not_be_read_are_unknown(cluster, module) -> None:
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{module.namespace}/roles/edge-expose"
    rules = cluster.call("GET", role).body["rules"]
    blind = [rule for rule in rules if not {"endpoints", "endpointslices"} & set(rule["resources"])]
    assert cluster.merge(role, {"rules": blind}).status == 200
    module.desire({"web": web()})
    entry = module.until("web", "Pending", f"{cluster.base}.10", "EndpointsUnreadable")
    assert "endpoints" not in entry
    assert cluster.merge(role, {"rules": rules}).status == 200
    module.until("web", "Ready", f"{cluster.base}.10")


def test_of_two_writers_on_one_field_the_other_one_is_named_and_ours_becomes_rare(cluster, module) -> None:
    module.desire({"web": web()})
    module.until("web", "Ready")
    stop, foreign = threading.Event(), [0]

    def meddle() -> None:
        while not stop.wait(0.02):
            if module.service("web")["spec"]["sessionAffinity"] == "None":
                cluster.merge(f"{path(module, 'web')}?fieldManager=meddler", {"spec": {"sessionAffinity": "ClientIP"}})
                foreign[0] += 1

    meddler = threading.Thread(target=meddle, daemon=True)
    meddler.start()
    try:
        module.until_true(lambda: any("again and again" in w for w in module.twin.reported.get("warnings", [])), "told")
        (warning,) = [text for text in module.twin.reported["warnings"] if "again and again" in text]
        assert "spec.sessionAffinity" in warning
        assert "by meddler" in warning
        before, start = foreign[0], time.monotonic()
        while time.monotonic() - start < 3.0:
            module.run(1)
        assert foreign[0] - before <= 1, "each of theirs answers one of ours"
    finally:
        stop.set()
        meddler.join()


def test_of_two_processes_of_one_identity_the_later_one_writes(cluster, module, tmp_path: Path) -> None:
    module.desire({"web": web()})
    module.until("web", "Ready")
    (tmp_path / "second").mkdir()
    second = ModuleBench(cluster, module.namespace, tmp_path / "second")
    second.time = module.time + timedelta(seconds=10)
    second.restart()
    second.desire({"web": web(), "new": web(ports=["81:80"])})
    second.until("new", "Ready")
    uid = second.service("new")["metadata"]["uid"]
    for _ in range(5):
        module.run(1)
        second.run(1)
    assert second.service("new")["metadata"]["uid"] == uid, "the elder, whose document lacks it, left it alone"
    assert "only reads" in module.twin.reported["warnings"][0]
    assert not any("only reads" in text for text in second.twin.reported.get("warnings", []))
    assert second.is_quiet()


def test_a_class_of_another_load_balancer_draws_from_no_pool_and_keeps_what_it_was_given(cluster, module) -> None:
    if cluster.profile == "1.20":
        pytest.skip("only on 1.36: Kubernetes 1.20 drops loadBalancerClass")
    assert cluster.call(
        "POST",
        f"/api/v1/namespaces/{module.namespace}/configmaps",
        {"metadata": {"name": "edge-expose-guard-rails"}, "data": {"ALLOW_CLASSES": "example.com/other"}},
    ).status in (201, 409)
    module.desire({"web": web(loadBalancerClass="example.com/other"), "mine": web(ports=["81:80"])})
    module.until("web", "Pending", reason="WaitingForAddress")
    assert "loadBalancerIP" not in module.service("web")["spec"], "nothing is asked for"
    module.until("mine", "Ready", f"{cluster.base}.10")
    # The other load balancer chooses.
    given = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    assert cluster.merge(f"{path(module, 'web')}/status", given).status == 200
    module.until("web", "Ready", "192.0.2.7")
    module.until_true(lambda: module.service("web")["spec"].get("loadBalancerIP") == "192.0.2.7", "it is pinned")
