"""Selectors of labels and fields: what they choose, and what is said of those that cannot be read."""

from __future__ import annotations

from urllib.parse import quote

import pytest

OPERATORS = {"1.36": "in, notin, =, ==, !=, gt, lt", "1.20": "'=', '!=', '==', 'in', notin'"}
KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
NUMBER = "for 'Gt', 'Lt' operators, the value must be an integer"


@pytest.fixture
def maps(cluster) -> str:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    for name, labels in {"one": {"a": "1", "b": "x"}, "two": {"a": "2"}, "none": {}}.items():
        assert cluster.call("POST", path, {"metadata": {"name": name, "labels": labels}}).status == 201
    return path


CHOSEN = {
    "a": ["one", "two"],
    "!a": ["none"],
    "a=1": ["one"],
    "a == 1": ["one"],
    "a!=1": ["none", "two"],
    "a in (1,2),b": ["one"],
    "a in (1, 3)": ["one"],
    "a notin (1)": ["none", "two"],
    "a notin ()": ["none", "one", "two"],
    "a>1": ["two"],
    "a<2,b=x": ["one"],
    "a,!b": ["two"],
    "a=": [],
    "b in (,x)": ["one"],
    "in": [],
    "  ": ["none", "one", "two"],
}


@pytest.mark.parametrize("text", CHOSEN)
def test_labels_choose(cluster, maps, text: str) -> None:
    answer = cluster.call("GET", f"{maps}?labelSelector={quote(text)}")
    assert answer.status == 200, answer
    names = {item["metadata"]["name"] for item in answer.body["items"]} - {"kube-root-ca.crt"}
    assert sorted(names) == CHOSEN[text]


UNREADABLE = {
    "a b": "unable to parse requirement: found 'b', expected: OPERATORS",
    "a!b": "unable to parse requirement: found '!', expected: OPERATORS",
    "in (a)": "unable to parse requirement: found '(', expected: OPERATORS",
    "a=b c": "found 'c', expected: ',' or 'end of string'",
    "a=b=c": "found '=', expected: ',' or 'end of string'",
    "!a=b": "found '=', expected: ',' or 'end of string'",
    "=b": "found '=', expected: !, identifier, or 'end of string'",
    "(a)": "found '(', expected: !, identifier, or 'end of string'",
    "a in": "unable to parse requirement: found '' expected: '('",
    "a in b": "unable to parse requirement: found 'b' expected: '('",
    "a in (": "unable to parse requirement: found '', expected: ',', ')' or identifier",
    "a in (b": "unable to parse requirement: found '', expected: ',' or ')'",
    "!": "unable to parse requirement: found '', expected: identifier",
    "a=(": "unable to parse requirement: found '(', expected: identifier",
    "a,,b": "found ',', expected: identifier after ','",
    "a=b,": "found '', expected: identifier after ','",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_selector_is_refused_with_the_place(cluster, maps, text: str) -> None:
    answer = cluster.call("GET", f"{maps}?labelSelector={quote(text)}")
    said = UNREADABLE[text].replace("OPERATORS", OPERATORS[cluster.profile])
    assert (answer.status, answer.body["message"]) == (400, said)


WRONG = {
    "-a=b": {"1.36": f'<nil>: Invalid value: "-a": {KEY}', "1.20": f'invalid label key "-a": {KEY}'},
    "a=-b": {
        "1.36": f'values[0][a]: Invalid value: "-b": {VALUE}',
        "1.20": f'invalid label value: "-b": at key: "a": {VALUE}',
    },
    "a>b": {"1.36": f'values[0]: Invalid value: "b": {NUMBER}', "1.20": NUMBER},
}


@pytest.mark.parametrize("text", WRONG)
def test_what_can_be_no_label_is_refused(cluster, maps, text: str) -> None:
    answer = cluster.call("GET", f"{maps}?labelSelector={quote(text)}")
    said = f"unable to parse requirement: {WRONG[text][cluster.profile]}"
    assert (answer.status, answer.body["message"]) == (400, said)


OWN_FIELDS = ["/api/v1/nodes", "/api/v1/namespaces", "/api/v1/pods", "/api/v1/secrets", "/api/v1/events"]
COMMON_FIELDS = [
    "/api/v1/configmaps",
    "/api/v1/endpoints",
    "/api/v1/serviceaccounts",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/coordination.k8s.io/v1/leases",
    "/apis/rbac.authorization.k8s.io/v1/roles",
]


@pytest.mark.parametrize("path", [*OWN_FIELDS, *COMMON_FIELDS])
def test_a_field_that_is_not_selectable_is_refused(cluster, path: str) -> None:
    answer = cluster.call("GET", f"{path}?fieldSelector=status.replicas%3D1")
    common = '"status.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"'
    said = common if path in COMMON_FIELDS else "field label not supported: status.replicas"
    assert (answer.status, answer.body["message"]) == (400, said)
