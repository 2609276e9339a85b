"""How answers look to people, what they warn of, and what is too large."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

MEBIBYTE = 1024 * 1024
DEPRECATED = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'


def text(cluster: Any, path: str, agent: str = "kubectl/v1") -> str:
    with cluster.open("GET", path, more={"User-Agent": agent}) as response:
        return str(response.read().decode())


@pytest.mark.parametrize("agent", ["curl/8", "Wget/1", "Mozilla/5.0 (X11)"])
def test_json_is_readable_for_those_whose_answers_people_look_at(cluster, agent: str) -> None:
    for path in ("/api", "/apis", "/api/v1/namespaces/default", "/api/v1/namespaces", "/version", "/"):
        assert text(cluster, path, agent).startswith('{\n  "'), path
    assert text(cluster, "/api/v1/namespaces/default?pretty=0", agent).startswith('{"')


def test_json_is_in_one_line_for_programs(cluster) -> None:
    for path in ("/api", "/apis", "/api/v1/namespaces/default"):
        answer = text(cluster, path)
        assert answer.startswith('{"')
        assert answer.endswith("}\n")
    assert text(cluster, "/api/v1/namespaces/default?pretty=true").startswith('{\n  "')
    assert text(cluster, "/version").startswith('{\n  "major"')


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_health_says_more_when_asked(cluster, path: str) -> None:
    assert text(cluster, path) == "ok"
    assert text(cluster, f"{path}/ping") == "ok"
    told = text(cluster, f"{path}?verbose").splitlines()
    assert (told[0], told[-1]) == ("[+]ping ok", f"{path[1:]} check passed")


def test_endpoints_warn_of_their_end(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/endpoints"
    wanted = DEPRECATED if cluster.profile == "1.36" else None
    for method, place, body in (
        ("GET", path, None),
        ("GET", f"{path}?watch=1&timeoutSeconds=1", None),
        ("POST", path, {"metadata": {"name": "e"}}),
        ("DELETE", f"{path}/e", None),
    ):
        with cluster.open(method, place, body) as response:
            assert response.headers.get("Warning") == wanted, method
            response.read()


def test_a_body_of_more_than_three_mebibytes_is_refused(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    body = {"metadata": {"name": "big"}, "data": {"a": "x" * (3 * MEBIBYTE)}}
    answer = cluster.call("POST", path, body)
    assert (answer.status, answer.body["reason"]) == (413, "RequestEntityTooLarge")
    assert answer.body["message"] == "Request entity too large: limit is 3145728"


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_data_of_more_than_a_mebibyte_is_refused(cluster, kind: str) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/{kind.lower()}s"

    def body(size: int) -> dict[str, Any]:
        plain = "x" * size
        coded = base64.b64encode(plain.encode()).decode()
        return {"metadata": {"name": "big"}, "data": {"a": coded if kind == "Secret" else plain}}

    answer = cluster.call("POST", path, body(MEBIBYTE + 1))
    limit = "may not be more than" if cluster.profile == "1.36" else "must have at most"
    field = "data" if kind == "Secret" else "[]"
    said = f'{kind} "big" is invalid: {field}: Too long: {limit} 1048576 bytes'
    assert (answer.status, answer.body["message"]) == (422, said)
    assert cluster.call("POST", path, body(MEBIBYTE)).status == 201


@pytest.fixture
def balanced(cluster) -> str:
    """The status of a Service that no load balancer here looks at."""
    path = cluster.services(cluster.namespace())
    spec = {"type": "LoadBalancer", "loadBalancerClass": "acme.com/none", "ports": [{"port": 80}]}
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": spec}).status == 201
    if cluster.profile == "1.20":  # it knows no class: an address that no pool has keeps the load balancer away
        cluster.merge(f"{path}/s", {"spec": {"loadBalancerIP": "10.99.99.99"}})
    return f"{path}/s/status"


NO_IP = {"1.36": "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", "1.20": "must be a valid IP address"}
ZEROS = {"1.36": "must not have leading 0s", "1.20": "must be a valid IP address"}
ENTRIES: dict[str, Any] = {
    '{"ip": "bad"}': {v: f'ip: Invalid value: "bad": {NO_IP[v]}' for v in NO_IP},
    '{"ip": "010.2.3.4"}': {v: f'ip: Invalid value: "010.2.3.4": {ZEROS[v]}' for v in ZEROS},
    '{"hostname": "1.2.3.4"}': dict.fromkeys(
        NO_IP, 'hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address'
    ),
    '{"hostname": "a.b", "ipMode": "VIP"}': {"1.36": "ipMode: Forbidden: may not be specified when `ip` is not set"},
    '{"ip": "1.2.3.4", "ipMode": "No"}': {
        "1.36": 'ipMode: Unsupported value: "No": supported values: "Proxy", "VIP"',
    },
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_is_no_address_does_not_come_into_the_status(cluster, balanced, entry: str) -> None:
    answer = cluster.merge(balanced, {"status": {"loadBalancer": {"ingress": [json.loads(entry)]}}})
    said = ENTRIES[entry].get(cluster.profile)
    if said is None:
        assert answer.status == 200, answer
        return
    message = f'Service "s" is invalid: status.loadBalancer.ingress[0].{said}'
    assert (answer.status, answer.body["message"]) == (422, message)


def test_only_a_load_balancer_has_external_addresses(cluster) -> None:
    path = cluster.services(cluster.namespace())
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).status == 201
    answer = cluster.merge(f"{path}/s/status", {"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}})
    if cluster.profile == "1.20":
        assert answer.status == 200, answer
        return
    why = "Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    said = f'Service "s" is invalid: status.loadBalancer.ingress: {why}'
    assert (answer.status, answer.body["message"]) == (422, said)


DRY = {"POST": "Create", "PUT": "Update", "PATCH": "Patch", "DELETE": "Delete"}


@pytest.mark.parametrize("method", DRY)
def test_a_dry_run_is_of_all(cluster, method: str) -> None:
    path = cluster.services(cluster.namespace())
    made = cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).body
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    body = {"PUT": made, "POST": {"metadata": {"name": "t"}, "spec": made["spec"]}, "PATCH": {}}.get(method)
    place = path if method == "POST" else f"{path}/s"
    answer = cluster.call(method, f"{place}?dryRun=Some", body, kind)
    shown = '["Some"]' if cluster.profile == "1.36" else '[]string{"Some"}'
    why = f'dryRun: Unsupported value: {shown}: supported values: "All"'
    said = f'{DRY[method]}Options.meta.k8s.io "" is invalid: {why}'
    assert (answer.status, answer.body["message"]) == (422, said)


def test_a_dry_deletion_deletes_nothing(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    assert cluster.call("POST", path, {"metadata": {"name": "c", "labels": {"a": "b"}}}).status == 201
    dry = {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}
    assert cluster.call("DELETE", f"{path}/c", dry).status == 200
    assert cluster.call("DELETE", f"{path}?labelSelector=a%3Db", dry).status == 200
    assert cluster.call("DELETE", f"{path}?labelSelector=a%3Db&dryRun=All").status == 200
    assert cluster.call("GET", f"{path}/c").status == 200
    assert cluster.call("DELETE", f"{path}/c", {**dry, "dryRun": ["Some"]}).status == 422
    assert cluster.call("DELETE", f"{path}?labelSelector=a%3Db").status == 200
    assert cluster.call("GET", f"{path}/c").status == 404
