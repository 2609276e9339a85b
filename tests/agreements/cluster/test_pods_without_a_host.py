"""What is asked of a pod that runs nowhere, and of what the local cluster does not serve at all."""

from __future__ import annotations

import pytest

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "SPDY/3.1+portforward.k8s.io",
}


def test_nothing_is_forwarded_to_a_pod_without_a_host(cluster) -> None:
    namespace = cluster.namespace()
    pods = f"/api/v1/namespaces/{namespace}/pods"
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "none/none:1"}]}}
    assert cluster.call("POST", pods, body).status == 201
    for method in ("GET", "POST"):
        answer = cluster.call(method, f"{pods}/p/portforward", more=UPGRADE)
        assert (answer.status, answer.body["message"]) == (400, "pod p does not have a host assigned")
    answer = cluster.call("GET", f"{pods}/none/portforward", more=UPGRADE)
    assert (answer.status, answer.body["message"]) == (404, 'pods "none" not found')


@pytest.mark.parametrize(
    "path",
    [
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
        "/apis/apps/v1/namespaces/default/controllerrevisions",
        "/api/v1/namespaces/default/podtemplates",
        "/api/v1/namespaces/default/services/kubernetes/proxy",
        "/apis/storage.k8s.io/v1/csidrivers",
    ],
)
def test_what_is_not_served_says_so(cluster, path: str) -> None:
    answer = cluster.call("GET", path)
    if cluster.real:
        assert "not served by this stand-in" not in str(answer.body)
        return
    assert (answer.status, answer.body["reason"]) == (404, "NotFound")
    assert answer.body["message"].startswith("the server could not find the requested resource (")
    assert answer.body["message"].endswith(": not served by this stand-in)")


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("sinceSeconds=0", 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            "sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z",
            422,
            "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("container=other", 400, "container other is not valid for pod p"),
    ],
)
def test_a_log_is_not_asked_for_so(cluster, query: str, code: int, message: str) -> None:
    pods = f"/api/v1/namespaces/{cluster.namespace()}/pods"
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "none/none:1"}]}}
    assert cluster.call("POST", pods, body).status == 201
    answer = cluster.call("GET", f"{pods}/p/log?{query}")
    head = 'PodLogOptions "p" is invalid: ' if code == 422 else ""
    assert (answer.status, answer.body["message"]) == (code, head + message)
