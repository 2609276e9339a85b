"""The module with less than it wants: every forbidden thing is answered by a reason, and nothing that runs is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_expose_module.cluster.api import CONFIG_MAPS, GUARD_RAILS, SERVICES, Denied, Unauthorized
from support.testbed_module import ModuleBench, account_kubeconfig, apply_all, path_of, shipped

WEB = {"selector": ["app=w"], "ports": ["8080:80"]}
VM = {"endpoints": ["10.20.30.40"], "ports": ["8080:80"]}


@pytest.fixture
def module(cluster, tmp_path: Path) -> Iterator[ModuleBench]:
    bench = ModuleBench(cluster, cluster.namespace(), tmp_path)
    yield bench
    bench.remove_rights()


@pytest.fixture
def confined(cluster, tmp_path: Path) -> ModuleBench:
    """With rights in its own namespace only."""
    return ModuleBench(cluster, cluster.namespace(), tmp_path, ["rbac-one-namespace.yaml"])


def forbid(module: ModuleBench, resource: str, *verbs: str, kind: str = "Role") -> None:
    """Takes verbs on a resource away from the role in the module's namespace, or from its cluster role."""
    for document in module.rights:
        if document["kind"] == kind and document["metadata"].get("namespace", module.namespace) == module.namespace:
            for rule in list(document["rules"]):
                if resource in rule["resources"]:
                    others = [name for name in rule["resources"] if name != resource]
                    left = [verb for verb in rule["verbs"] if verb not in verbs]
                    document["rules"].remove(rule)
                    document["rules"] += [{**rule, "resources": others}] if others else []
                    document["rules"] += [{**rule, "resources": [resource], "verbs": left}] if left else []
            apply_all(module.handle, [document])


def remove(module: ModuleBench, kind: str, namespace: str | None) -> None:
    for document in module.rights:
        if document["kind"] == kind and document["metadata"].get("namespace") == namespace:
            module.handle.call("DELETE", path_of(document))


def denied(module: ModuleBench) -> str:
    return str(module.twin.reported["cluster"].get("denied", ""))


def test_confined_to_its_namespace_it_works_by_site(cluster, confined) -> None:
    site = {"externalServiceIPs": f"{cluster.base}.10-{cluster.base}.20"}
    confined.desire({"web": {**WEB, "address": f"{cluster.base}.14"}, "auto": WEB, "vm": VM}, site=site)
    confined.until("web", "Pending", f"{cluster.base}.14")
    confined.until("auto", "Pending")
    confined.until("vm", "Ready")
    assert "services" in denied(confined)
    assert "metallb-system" in denied(confined)


def test_confined_it_learns_of_a_foreign_holder_from_the_refusal(cluster, confined) -> None:
    other = cluster.namespace()
    cluster.balancer(other, "holder", {"loadBalancerIP": f"{cluster.base}.14"})
    cluster.wait_address(other, "holder")
    site = {"externalServiceIPs": f"{cluster.base}.10-{cluster.base}.20"}
    confined.desire({"web": {**WEB, "address": f"{cluster.base}.14"}, "b": WEB}, site=site)
    confined.until("web", "Blocked")
    assert confined.exposure("web")["reason"] in ("AddressTaken", "PortTaken")
    confined.until("b", "Pending")
    assert cluster.address(other, "holder") == f"{cluster.base}.14"


@pytest.mark.parametrize(
    ("exposure", "resource"),
    [
        pytest.param(WEB, "services", id="services"),
        pytest.param(VM, "endpoints", id="endpoints or slices"),
    ],
)
def test_what_may_not_be_created_is_blocked_with_the_right_that_is_missing(cluster, module, exposure, resource) -> None:
    forbid(module, resource, "create")
    if resource == "endpoints":
        forbid(module, "endpointslices", "create")
    module.desire({"x": exposure})
    entry = module.until("x", "Blocked", reason="RBACDenied")
    assert "create" in entry["message"]
    assert resource in entry["message"] or "endpointslices" in entry["message"]
    apply_all(module.handle, shipped("rbac.yaml", module.namespace))
    module.until_true(lambda: module.exposure("x")["state"] in ("Pending", "Ready"), "works once it is allowed")


def test_what_may_not_be_changed_is_blocked_and_stays(cluster, module) -> None:
    module.desire({"web": {**WEB, "address": f"{cluster.base}.14"}})
    module.until("web", "Pending", f"{cluster.base}.14")
    forbid(module, "services", "patch")
    module.desire({"web": {**WEB, "ports": ["9090:80"], "address": f"{cluster.base}.14"}})
    entry = module.until("web", "Blocked", f"{cluster.base}.14", "RBACDenied")
    assert "patch" in entry["message"]


def test_what_may_not_be_removed_is_said(cluster, module) -> None:
    module.desire({"web": WEB, "other": WEB})
    module.until("web", "Pending")
    forbid(module, "services", "delete")
    module.desire({"other": WEB})
    module.run()
    assert module.service("web")
    entry = module.until("web", "Blocked", reason="RBACDenied")
    assert "delete" in entry["message"]
    assert module.exposure("other")["state"] == "Pending"


def test_without_reading_services_nothing_is_decided_and_nothing_is_lost(cluster, module) -> None:
    module.desire({"web": WEB})
    module.until("web", "Pending")
    remove(module, "ClusterRoleBinding", None)
    forbid(module, "services", "list", "get", "watch")
    module.restart()
    module.desire({})
    module.until_true(lambda: "services" in module.twin.reported["cluster"]["api"], "the API error is reported")
    assert module.service("web")
    assert module.twin.reported["lastDesiredStatus"]["code"] in (200, 500)


@pytest.mark.parametrize("resource", ["pods", "events"])
def test_without_reading_these_it_works_and_says_so(cluster, module, resource) -> None:
    forbid(module, resource, "get", "list", "watch")
    cluster.set_pool(f"{cluster.base}.10-{cluster.base}.10")
    cluster.balancer(cluster.namespace(), "holder")
    # It cannot know that the pool is full.
    remove(module, "RoleBinding", "metallb-system")
    forbid(module, "ipaddresspools", "get", "list", "watch", kind="ClusterRole")
    module.desire({"web": WEB, "inner": {**WEB, "type": "ClusterIP"}})
    module.until("inner", "Pending")
    module.until_true(lambda: resource in denied(module) and module.exposure("web")["state"] != "Ready", resource)
    assert module.exposure("web")["reason"]


def test_without_reading_endpoints_it_cannot_call_anything_ready(cluster, module) -> None:
    for resource in ("endpoints", "endpointslices"):
        forbid(module, resource, "get", "list", "watch")
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    module.desire({"web": WEB})
    module.until("web", "Pending")
    assert "endpoint" in denied(module)
    assert module.exposure("web")["reason"]


def test_a_namespace_without_rights_blocks_only_its_own_exposure(cluster, module) -> None:
    other = cluster.namespace()
    module.desire({"here": WEB, "there": {**WEB, "namespace": other}})
    entry = module.until("there", "Blocked", reason="RBACDenied")
    assert other in entry["message"]
    module.until("here", "Pending")
    documents = shipped("rbac-extra-namespace.yaml", module.namespace, {"web": other})
    module.rights += documents
    apply_all(cluster, documents)
    module.until("there", "Pending")
    assert cluster.wait_address(other, "there")


def test_a_namespace_that_does_not_exist_fails_only_its_own_exposure(cluster, module) -> None:
    missing = f"{module.namespace}-none"
    module.desire({"here": WEB, "there": {**WEB, "namespace": missing}})
    module.until_true(lambda: module.exposure("there")["state"] in ("Blocked", "Failed"), "there is refused")
    assert missing in module.exposure("there")["message"]
    module.until("here", "Pending")


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(("POST", "/api/v1/namespaces/{ns}/pods"), id="make pods"),
        pytest.param(("GET", "/api/v1/namespaces/{ns}/secrets"), id="read secrets"),
        pytest.param(("PUT", "/api/v1/namespaces/{ns}/services/web"), id="replace services"),
        pytest.param(("PATCH", "/api/v1/namespaces/{ns}/services/web/status"), id="write a status"),
        pytest.param(("PATCH", "/api/v1/namespaces/default/services/kubernetes"), id="patch elsewhere"),
        pytest.param(("GET", "/api/v1/nodes/node1"), id="read a node"),
        pytest.param(("GET", "/api/v1/namespaces/kube-system/configmaps"), id="read other ConfigMaps"),
    ],
)
def test_the_account_may_do_nothing_more(cluster, module, attempt: tuple[str, str], tmp_path: Path) -> None:
    method, path = attempt
    token = _token(account_kubeconfig(cluster, module.namespace, tmp_path / "another.kubeconfig"))
    body: Any = {"metadata": {"name": "web"}, "spec": {}} if method != "GET" else None
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    answer = cluster.call(method, path.format(ns=module.namespace), body, kind, token)
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")


def test_a_revoked_token_is_said_and_a_new_one_is_picked_up(cluster, module, tmp_path: Path) -> None:
    module.desire({"web": WEB})
    module.until("web", "Pending")
    kubeconfig = tmp_path / "module.kubeconfig"
    good = kubeconfig.read_text()
    kubeconfig.write_text(good.replace(_token(kubeconfig), "not-a-token"))
    with pytest.raises(Unauthorized):
        module.kubernetes.list(SERVICES, module.namespace)
    module.until_true(lambda: "Unauthorized" in module.twin.reported["cluster"]["api"], "it is reported")
    kubeconfig.write_text(good)
    module.until_true(lambda: module.twin.reported["cluster"]["api"] == "ok", "it works again")


def test_a_denied_watch_says_so(cluster, confined) -> None:
    import threading

    with pytest.raises(Denied):
        next(confined.kubernetes.watch(SERVICES, None, "0", threading.Event()))


def _token(kubeconfig: Path) -> str:
    import yaml

    return str(yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"])


def test_the_guard_rails_are_read_and_watched_by_name_and_no_other_config_map(cluster, confined) -> None:
    """A rail that is typed into the cluster reaches the watch; the module can change none."""
    maps, api = f"/api/v1/namespaces/{confined.namespace}/configmaps", confined.kubernetes
    stop = threading.Event()
    events = api.watch(GUARD_RAILS, confined.namespace, api.list(GUARD_RAILS, confined.namespace).version, stop)
    for name in ("another", GUARD_RAILS.only):
        answer = cluster.call("POST", maps, {"metadata": {"name": name}, "data": {"ALLOW_PORTS": "443"}})
        assert answer.status == 201, answer
    heard = [next(events).kind for _ in range(2)]
    assert heard == ["BOOKMARK", "ADDED"]
    stop.set()
    events.close()
    assert [item["metadata"]["name"] for item in api.list(GUARD_RAILS, confined.namespace).items] == [GUARD_RAILS.only]
    with pytest.raises(Denied):
        api.get(CONFIG_MAPS, confined.namespace, "another")
    with pytest.raises(Denied):
        api.patch(GUARD_RAILS, confined.namespace, GUARD_RAILS.only, {"data": {"ALLOW_PORTS": "80"}})
    confined.desire({"web": WEB}, site={"externalServiceIPs": f"{cluster.base}.10-{cluster.base}.20"})
    confined.until("web", "Blocked", reason="PortNotAllowed")
    assert "port 8080 is not among those this device allows: 443-443" in confined.exposure("web")["message"]
