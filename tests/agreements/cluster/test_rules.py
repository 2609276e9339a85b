"""Refused Services with the words of the API server, rights, and endpoints."""

from __future__ import annotations

import pytest

from support.waiting import eventually

_LB = {"type": "LoadBalancer"}
_ROWS = [
    (
        "port 0 is out of range",
        {"ports": [{"port": 0}]},
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    ("two ports need names", {"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: Required value"),
    (
        "a port name is unique",
        {"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]},
        'spec.ports[1].name: Duplicate value: "a"',
    ),
    (
        "a protocol is known",
        {"ports": [{"port": 1, "protocol": "ICMP"}]},
        'spec.ports[0].protocol: Unsupported value: "ICMP"',
    ),
    ("ports are required", {"ports": []}, "spec.ports: Required value"),
    ("a type is known", {"type": "Best", "ports": [{"port": 1}]}, 'spec.type: Unsupported value: "Best"'),
    (
        "a node port is in the range",
        {**_LB, "ports": [{"port": 1, "nodePort": 99}]},
        "spec.ports[0].nodePort: Invalid value: 99: provided port is not in the valid range.",
    ),
    (
        "a ClusterIP has no node port",
        {"ports": [{"port": 1, "nodePort": 31000}]},
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ),
    (
        "a load balancer is not headless",
        {**_LB, "clusterIP": "None", "ports": [{"port": 1}]},
        "may not be set to 'None' for LoadBalancer services",
    ),
    (
        "an affinity is known",
        {"sessionAffinity": "Cookie", "ports": [{"port": 1}]},
        'spec.sessionAffinity: Unsupported value: "Cookie"',
    ),
]


@pytest.mark.parametrize(("spec", "text"), [pytest.param(s, t, id=name) for name, s, t in _ROWS])
def test_a_bad_service_is_refused(cluster, spec, text) -> None:
    ns = cluster.namespace()
    answer = cluster.call("POST", cluster.services(ns), {"metadata": {"name": "bad"}, "spec": spec})
    assert (answer.status, answer.body["reason"]) == (422, "Invalid"), answer
    assert answer.body["message"].startswith('Service "bad" is invalid: ')
    assert text in answer.body["message"]
    assert answer.body["details"]["causes"]


def test_mixed_protocols_on_one_load_balancer(cluster) -> None:
    ns = cluster.namespace()
    ports = [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]
    answer = cluster.balancer(ns, "dns", {"ports": ports})
    if cluster.profile == "1.36":
        assert answer.status == 201
    else:
        assert answer.status == 422
        assert "may not contain more than 1 protocol when type is 'LoadBalancer'" in answer.body["message"]


def test_a_cluster_ip_does_not_change(cluster) -> None:
    ns = cluster.namespace()
    made = cluster.call(
        "POST", cluster.services(ns), {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 1}]}}
    ).body
    ip = made["spec"]["clusterIP"]
    other = ip.rsplit(".", 1)[0] + (".77" if not ip.endswith(".77") else ".78")
    answer = cluster.merge(f"{cluster.services(ns)}/one", {"spec": {"clusterIP": other, "clusterIPs": [other]}})
    assert answer.status == 422
    assert "spec.clusterIPs[0]" in answer.body["message"]
    assert "may not change once set" in answer.body["message"]


def test_a_put_without_allocated_values_keeps_them(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one")
    cluster.wait_address(ns, "one")
    made = cluster.call("GET", f"{cluster.services(ns)}/one").body
    version = made["metadata"]["resourceVersion"]
    body = {
        "metadata": {"name": "one", "resourceVersion": version},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 8081}]},
    }
    answer = cluster.call("PUT", f"{cluster.services(ns)}/one", body)
    assert answer.status == 200, answer
    assert answer.body["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert answer.body["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"]


def test_rights_are_what_the_bound_role_says(cluster) -> None:
    ns, other = cluster.namespace(), cluster.namespace()
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    cluster.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "bot"}})
    rules = [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "create"]}]
    assert cluster.call("POST", f"{base}/roles", {"metadata": {"name": "r"}, "rules": rules}).status == 201
    binding = {
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": ns}],
    }
    assert cluster.call("POST", f"{base}/rolebindings", binding).status == 201
    path = f"/api/v1/namespaces/{ns}/serviceaccounts/bot/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = cluster.call("POST", path, request).body["status"]["token"]
    eventually(lambda: cluster.call("GET", cluster.services(ns), token=token).status == 200, what="the role to count")
    user = f"system:serviceaccount:{ns}:bot"
    refused = cluster.call("DELETE", f"{cluster.services(ns)}/x", token=token)
    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == (
        f'services "x" is forbidden: User "{user}" cannot delete resource "services" in API group "" in the namespace "{ns}"'  # noqa: E501
    )
    elsewhere = cluster.call("GET", cluster.services(other), token=token)
    assert elsewhere.body["message"] == (
        f'services is forbidden: User "{user}" cannot list resource "services" in API group "" in the namespace "{other}"'  # noqa: E501
    )
    everywhere = cluster.call("GET", "/api/v1/services", token=token)
    assert everywhere.body["message"].endswith('in API group "" at the cluster scope')
    assert cluster.call("GET", cluster.services(ns), token="nonsense").status == 401
    assert cluster.call("GET", cluster.services(ns), token="").status == 403


def test_endpoints_follow_ready_pods(cluster) -> None:
    ns = cluster.namespace()
    spec = {"selector": {"app": "w"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    cluster.call("POST", cluster.services(ns), {"metadata": {"name": "web"}, "spec": spec})
    cluster.run_pod(ns, "one", {"app": "w"})
    version = "v1" if cluster.profile == "1.36" else "v1beta1"
    path = f"/apis/discovery.k8s.io/{version}/namespaces/{ns}/endpointslices?labelSelector=kubernetes.io/service-name%3Dweb"  # noqa: E501

    def found() -> list[tuple[str, int]]:
        items = cluster.call("GET", path).body["items"]
        return [
            (address, port["port"])
            for piece in items
            for endpoint in piece.get("endpoints") or []
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
            for port in piece.get("ports") or []
        ]

    eventually(lambda: found() == [("10.244.7.7", 8080)], what="the pod in the slice")
    cluster.call("DELETE", f"/api/v1/namespaces/{ns}/pods/one?gracePeriodSeconds=0")
    eventually(lambda: not found(), what="the pod out of the slice")
