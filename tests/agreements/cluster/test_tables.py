"""The columns that `kubectl get` prints, those of `-o wide` with a star, and what stands in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
WORKLOAD = ["*Containers", "*Images", "*Selector"]
BINDING = ["Name", "Role", "Age", "*Users", "*Groups", "*ServiceAccounts"]
EVENT = ["Last Seen", "Type", "Reason", "Object", "*Subobject", "*Source", "Message", "*First Seen", "*Count", "*Name"]
POD = ["*Nominated Node", "*Readiness Gates"]
NODE = ["*Internal-IP", "*External-IP", "*OS-Image", "*Kernel-Version", "*Container-Runtime"]
COLUMNS: dict[str, Any] = {
    "/api/v1/configmaps": ["Name", "Data", "Age"],
    "/api/v1/endpoints": ["Name", "Endpoints", "Age"],
    "/api/v1/events": EVENT,
    "/api/v1/namespaces": ["Name", "Status", "Age"],
    "/api/v1/nodes": ["Name", "Status", "Roles", "Age", "Version", *NODE],
    "/api/v1/pods": [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "*IP",
        "*Node",
        "*Nominated Node",
        "*Readiness Gates",
    ],
    "/api/v1/secrets": ["Name", "Type", "Data", "Age"],
    "/api/v1/serviceaccounts": {"1.36": ["Name", "Age"], "1.20": ["Name", "Secrets", "Age"]},
    "/api/v1/services": ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "*Selector"],
    "/apis/apps/v1/deployments": ["Name", "Ready", "Up-to-date", "Available", "Age", *WORKLOAD],
    "/apis/apps/v1/replicasets": ["Name", "Desired", "Current", "Ready", "Age", *WORKLOAD],
    "/apis/coordination.k8s.io/v1/leases": ["Name", "Holder", "Age"],
    "/apis/events.k8s.io/v1/events": EVENT,
    f"{RBAC}/clusterrolebindings": BINDING,
    f"{RBAC}/clusterroles": ["Name", "Created At"],
    f"{RBAC}/rolebindings": BINDING,
    f"{RBAC}/roles": ["Name", "Created At"],
}
POOLS = {
    "ipaddresspools": ["Name", "Auto Assign", "Avoid Buggy IPs", "Addresses"],
    "l2advertisements": [
        "Name",
        "IPAddressPools",
        "IPAddressPool Selectors",
        "Interfaces",
        "*Node Selectors",
    ],
    "configurationstates": ["Name", "Result", "ErrorSummary", "Age"],
}


def shown(cluster: Any, path: str) -> dict[str, Any]:
    raw = cluster.raw("GET", path, accept=TABLE)
    assert raw.status == 200, raw
    table: dict[str, Any] = json.loads(raw.data)
    return table


def names(table: dict[str, Any]) -> list[str]:
    return ["*" * bool(column["priority"]) + column["name"] for column in table["columnDefinitions"]]


def cells(cluster: Any, path: str, name: str) -> dict[str, str]:
    """What stands in the columns of one object, without those that tell of time."""
    table = shown(cluster, path)
    columns = [column["name"] for column in table["columnDefinitions"]]
    (row,) = (row for row in table["rows"] if row["object"]["metadata"]["name"] == name)
    found = dict(zip(columns, map(str, row["cells"]), strict=True))
    return {key: value for key, value in found.items() if key not in ("Age", "Name", "Last Seen", "First Seen")}


@pytest.mark.parametrize("path", COLUMNS)
def test_each_kind_has_its_columns(cluster, path: str) -> None:
    wanted = COLUMNS[path]
    assert names(shown(cluster, f"{path}?limit=1")) == (wanted if isinstance(wanted, list) else wanted[cluster.profile])


@pytest.mark.parametrize("plural", POOLS)
def test_the_objects_of_the_load_balancer_have_theirs(cluster, plural: str) -> None:
    if cluster.profile != "1.36":
        pytest.skip("only on 1.36: before, MetalLB had no objects")
    assert names(shown(cluster, f"/apis/metallb.io/v1beta1/{plural}")) == POOLS[plural]


def test_a_binding_says_whom_it_binds(cluster) -> None:
    path = f"{RBAC}/namespaces/{cluster.namespace()}/rolebindings"
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": kind, "name": name, "apiGroup": group} for kind, name in [("User", "a"), ("User", "b")]]
    subjects += [{"kind": "Group", "name": "g", "apiGroup": group}]
    subjects += [{"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
    role = {"apiGroup": group, "kind": "Role", "name": "r"}
    assert cluster.call("POST", path, {"metadata": {"name": "b"}, "roleRef": role, "subjects": subjects}).status == 201
    assert cells(cluster, path, "b") == {"Role": "Role/r", "Users": "a, b", "Groups": "g", "ServiceAccounts": "n/s"}


def test_a_lease_says_who_holds_it(cluster) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace()}/leases"
    for name, spec in {"held": {"holderIdentity": "me", "leaseDurationSeconds": 1}, "free": {}}.items():
        assert cluster.call("POST", path, {"metadata": {"name": name}, "spec": spec}).status == 201
    assert [cells(cluster, path, name)["Holder"] for name in ("held", "free")] == ["me", ""]


def test_a_node_says_how_it_is(cluster) -> None:
    cluster.namespace()
    labels = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/a": "", "kubernetes.io/role": "z"}
    body = {"metadata": {"name": "table-1", "labels": labels}, "spec": {"unschedulable": True}}
    assert cluster.call("POST", "/api/v1/nodes", body).status == 201
    assert cluster.call("POST", "/api/v1/nodes", {"metadata": {"name": "table-2"}}).status == 201
    info = {"osImage": "os", "kernelVersion": "k", "containerRuntimeVersion": "c", "kubeletVersion": "v"}
    places = [{"type": "InternalIP", "address": "10.9.9.1"}, {"type": "ExternalIP", "address": "10.9.9.2"}]
    status = {"conditions": [{"type": "Ready", "status": "False"}], "addresses": places, "nodeInfo": info}
    assert cluster.merge("/api/v1/nodes/table-2/status", {"status": status}).status == 200
    first = cells(cluster, "/api/v1/nodes", "table-1")
    second = cells(cluster, "/api/v1/nodes", "table-2")
    for name in ("table-1", "table-2"):
        assert cluster.call("DELETE", f"/api/v1/nodes/{name}").status == 200
    assert (first["Status"], first["Roles"]) == ("Unknown,SchedulingDisabled", "a,worker,z")
    assert (first["Internal-IP"], first["OS-Image"]) == ("<none>", "<unknown>")
    assert second == {
        "Status": "NotReady",
        "Roles": "<none>",
        "Version": "v",
        "Internal-IP": "10.9.9.1",
        "External-IP": "10.9.9.2",
        "OS-Image": "os",
        "Kernel-Version": "k",
        "Container-Runtime": "c",
    }


def test_an_event_says_about_what_and_from_whom(cluster) -> None:
    namespace = cluster.namespace()
    path = f"/api/v1/namespaces/{namespace}/events"
    about = {"kind": "Pod", "name": "p", "namespace": namespace, "fieldPath": "spec.containers{c}"}
    times = {"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-02T00:00:00Z", "count": 3}
    text = {"reason": "R", "message": " hi ", "type": "Normal", "source": {"component": "me", "host": "h"}}
    body = {"metadata": {"name": "e", "namespace": namespace}, "involvedObject": about, **text, **times}
    assert cluster.call("POST", path, body).status == 201
    assert cells(cluster, path, "e") == {
        "Type": "Normal",
        "Reason": "R",
        "Object": "pod/p",
        "Subobject": "spec.containers{c}",
        "Source": "me, h",
        "Message": "hi",
        "Count": "3",
    }


def test_a_pod_says_which_of_its_gates_are_open(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/pods"
    spec = {"containers": [{"name": "c", "image": "none/none:1"}], "readinessGates": [{"conditionType": "x.y/z"}]}
    assert cluster.call("POST", path, {"metadata": {"name": "p"}, "spec": spec}).status == 201
    assert cells(cluster, path, "p")["Readiness Gates"] == "0/1"
    status = {"conditions": [{"type": "x.y/z", "status": "True"}]}
    assert cluster.merge(f"{path}/p/status", {"status": status}).status == 200
    found = cells(cluster, path, "p")
    assert (found["Readiness Gates"], found["Nominated Node"]) == ("1/1", "<none>")
