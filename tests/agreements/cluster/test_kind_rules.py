"""What people get wrong in pods, ConfigMaps, Secrets, roles and bindings, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

RBAC = "rbac.authorization.k8s.io"
KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def refusal(cluster: Any, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """Status and message of a create that keeps nothing."""
    answer = cluster.call("POST", f"{path}?dryRun=All", {"metadata": {"name": "x"}, **body})
    return answer.status, answer.body.get("message", "")


DATA: dict[str, Any] = {
    "a blank in a key": ({"data": {"a b": "1"}}, f'data[a b]: Invalid value: "a b": {KEY}'),
    "a key of two dots": ({"data": {"..": "1"}}, "data[..]: Invalid value: \"..\": must not be '..'"),
    "a key that begins with two": (
        {"data": {"..x": "1"}},
        "data[..x]: Invalid value: \"..x\": must not start with '..'",
    ),
    "a key in both": (
        {"data": {"a": "1"}, "binaryData": {"a": "MQ=="}},
        'data[a]: Invalid value: "a": duplicate of key present in binaryData',
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_a_config_map(cluster, name: str) -> None:
    body, said = DATA[name]
    found = refusal(cluster, f"/api/v1/namespaces/{cluster.namespace()}/configmaps", body)
    assert found == (422, f'ConfigMap "x" is invalid: {said}')


REDACTED = 'Invalid value: "<secret contents redacted>"'
SECRETS: dict[str, Any] = {
    "a blank in a plain key": ({"stringData": {"a b": "1"}}, f'data[a b]: Invalid value: "a b": {KEY}'),
    "no certificate": (
        {"type": "kubernetes.io/tls"},
        "[data[tls.crt]: Required value, data[tls.key]: Required value]",
    ),
    "no key": ({"type": "kubernetes.io/tls", "data": {"tls.crt": "MQ=="}}, "data[tls.key]: Required value"),
    "no registry": ({"type": "kubernetes.io/dockerconfigjson"}, "data[.dockerconfigjson]: Required value"),
    "no JSON": (
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "MX0="}},
        f"data[.dockerconfigjson]: {REDACTED}: invalid character '}}' after top-level value",
    ),
    "no account": (
        {"type": "kubernetes.io/service-account-token"},
        "metadata.annotations[kubernetes.io/service-account.name]: Required value",
    ),
    "no user": (
        {"type": "kubernetes.io/basic-auth"},
        {
            "1.36": "[data[username]: Required value, data[password]: Required value]",
            "1.20": "[data[%s][username]: Required value, data[%s][password]: Required value]",
        },
    ),
    "no private key": (
        {"type": "kubernetes.io/ssh-auth"},
        {
            "1.36": "data[ssh-privatekey]: Required value",
            "1.20": "data[%s][ssh-privatekey]: Required value",
        },
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret(cluster, name: str) -> None:
    body, said = SECRETS[name]
    said = said[cluster.profile] if isinstance(said, dict) else said
    found = refusal(cluster, f"/api/v1/namespaces/{cluster.namespace()}/secrets", body)
    assert found == (422, f'Secret "x" is invalid: {said}')


BASE64 = {"no base 64!": 2, "MQ": 0, "MQ=": 3, "MQ==MQ==": 4, "M": 0, "MTIzM": 4, "====": 0, "MTI=x": 4, "M\nQ==": None}


@pytest.mark.parametrize("text", BASE64)
def test_bytes_are_base64(cluster, text: str) -> None:
    body = {"data": {"a": text}}
    status, message = refusal(cluster, f"/api/v1/namespaces/{cluster.namespace()}/secrets", body)
    if BASE64[text] is None:
        assert status == 201, message
        return
    assert status == 400
    assert message.startswith('Secret in version "v1" cannot be handled as a Secret: ')
    assert f"illegal base64 data at input byte {BASE64[text]}" in message


def container(**more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "a", "image": "x", **more}]}


def port(**more: Any) -> dict[str, Any]:
    return container(ports=[{"containerPort": 80, **more}])


AT = "spec.containers[0]"
PODS: dict[str, Any] = {
    "no containers": ({}, "spec.containers: Required value"),
    "a policy of restarts": (
        {**container(), "restartPolicy": "Sometimes"},
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ),
    "a policy of pulls": (
        container(imagePullPolicy="No"),
        f'{AT}.imagePullPolicy: Unsupported value: "No": supported values: "Always", "IfNotPresent", "Never"',
    ),
    "a policy of names": (
        {**container(), "dnsPolicy": "No"},
        'spec.dnsPolicy: Unsupported value: "No": supported values: "ClusterFirstWithHostNet", "ClusterFirst", '
        '"Default", "None"',
    ),
    "an image with a blank": (
        container(image=" x"),
        f'{AT}.image: Invalid value: " x": must not have leading or trailing whitespace',
    ),
    "a name of a node": (
        {**container(), "nodeName": "Bad Node"},
        f'spec.nodeName: Invalid value: "Bad Node": {SUBDOMAIN}',
    ),
    "a name of an account": (
        {**container(), "serviceAccountName": "Bad_SA"},
        f'spec.serviceAccountName: Invalid value: "Bad_SA": {SUBDOMAIN}',
    ),
    "a protocol": (
        port(protocol="X"),
        f'{AT}.ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
    ),
    "a name of a port": (
        port(name="Bad_Name"),
        f'{AT}.ports[0].name: Invalid value: "Bad_Name": must contain only alpha-numeric characters (a-z, 0-9), and '
        "hyphens (-)",
    ),
    "a name of two ports": (
        container(ports=[{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}]),
        f'{AT}.ports[1].name: Duplicate value: "a"',
    ),
    "a port of the host": (
        port(hostPort=70000),
        f"{AT}.ports[0].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
    ),
    "a port beside that of the host": (
        {**port(hostPort=81), "hostNetwork": True},
        {
            "1.36": f"{AT}.ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
            "1.20": f"{AT}.ports[0].containerPort: Invalid value: 80: must match `hostPort` when `hostNetwork` is true",
        },
    ),
    "a variable without a name": (container(env=[{"name": ""}]), f"{AT}.env[0].name: Required value"),
    "a mount of no volume": (
        container(volumeMounts=[{"name": "no", "mountPath": "/x"}]),
        f'{AT}.volumeMounts[0].name: Not found: "no"',
    ),
    "a probe of nothing": (
        container(readinessProbe={}),
        f"{AT}.readinessProbe: Required value: must specify a handler type",
    ),
    "a probe of two": (
        container(readinessProbe={"httpGet": {"port": 80}, "tcpSocket": {"port": 1}}),
        f"{AT}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
    ),
    "a probe of port 0": (
        container(readinessProbe={"tcpSocket": {"port": 0}}),
        f"{AT}.readinessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    "two containers of one name": (
        {**container(), "initContainers": [{"name": "a", "image": "x"}]},
        'spec.initContainers[0].name: Duplicate value: "a"',
    ),
    "more than the limit": (
        container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}}),
        {
            "1.36": f'{AT}.resources.requests: Invalid value: "1500m": must be less than or equal to cpu limit of 1',
            "1.20": f'{AT}.resources.requests: Invalid value: "1500m": must be less than or equal to cpu limit',
        },
    ),
    "less than nothing": (
        container(resources={"limits": {"cpu": "-1"}}),
        f'[{AT}.resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0, '
        f'{AT}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0]',
    ),
}


@pytest.mark.parametrize("name", PODS)
def test_a_pod(cluster, name: str) -> None:
    spec, said = PODS[name]
    said = said[cluster.profile] if isinstance(said, dict) else said
    found = refusal(cluster, f"/api/v1/namespaces/{cluster.namespace()}/pods", {"spec": spec})
    assert found == (422, f'Pod "x" is invalid: {said}')


@pytest.mark.parametrize("text", ["nope", "64Q", "1.2.3", "", "1 Gi"])
def test_what_is_no_quantity(cluster, text: str) -> None:
    spec = container(resources={"limits": {"memory": text}})
    status, message = refusal(cluster, f"/api/v1/namespaces/{cluster.namespace()}/pods", {"spec": spec})
    assert (status, QUANTITY in message) == (400, True), message


@pytest.mark.parametrize("text", ["1", "0.5", "100m", "64Mi", "1e3", "2E", "+1", "5k", "1Ki"])
def test_what_is_a_quantity(cluster, text: str) -> None:
    spec = container(resources={"limits": {"example.com/thing": "1", "memory": text}})
    status, message = refusal(cluster, f"/api/v1/namespaces/{cluster.namespace()}/pods", {"spec": spec})
    assert status == 201, message


QUALITIES = {
    "BestEffort": {},
    "Burstable": {"requests": {"cpu": "1"}},
    "Guaranteed": {"limits": {"cpu": "1", "memory": "1Mi"}},
}


@pytest.mark.parametrize("quality", QUALITIES)
def test_what_a_pod_is_given(cluster, quality: str) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/pods?dryRun=All"
    spec = container(resources=QUALITIES[quality])
    made = cluster.call("POST", path, {"metadata": {"name": "x"}, "spec": spec}).body
    assert made["status"]["qosClass"] == quality
    found = made["spec"]
    assert (found["enableServiceLinks"], found["priority"], found["preemptionPolicy"]) == (
        True,
        0,
        "PreemptLowerPriority",
    )
    assert [toleration["key"] for toleration in found["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    resources = found["containers"][0]["resources"]
    assert resources.get("requests", {}) == {**QUALITIES[quality].get("limits", {}), **resources.get("requests", {})}


GROUPS = "apiGroups: Required value: resource rules must supply at least one api group"
RESOURCES = "resources: Required value: resource rules must supply at least one resource"
URLS = {"1.36": '["/x"]', "1.20": '[]string{"/x"}'}
SPACED = "namespaced rules cannot apply to non-resource URLs"
MIXED = "rules cannot apply to both regular resources and non-resource URLs"
RULES: dict[str, Any] = {
    '{"verbs": []}': [
        "verbs: Required value: verbs must contain at least one value",
        GROUPS,
        RESOURCES,
    ],
    '{"verbs": ["get"], "apiGroups": [""]}': [RESOURCES],
    '{"verbs": ["get"], "nonResourceURLs": ["/x"]}': [f"nonResourceURLs: Invalid value: URLS: {SPACED}"],
    '{"verbs": ["get"], "nonResourceURLs": ["/x"], "apiGroups": [""], "resources": ["pods"]}': [
        f"nonResourceURLs: Invalid value: URLS: {SPACED}",
        f"nonResourceURLs: Invalid value: URLS: {MIXED}",
    ],
}


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
@pytest.mark.parametrize("rule", RULES)
def test_a_role(cluster, kind: str, rule: str) -> None:
    namespaced = f"namespaces/{cluster.namespace()}/" if kind == "Role" else ""
    body = {"rules": [json.loads(rule)]}
    status, message = refusal(cluster, f"/apis/{RBAC}/v1/{namespaced}{kind.lower()}s", body)
    wrongs = [f"rules[0].{text}" for text in RULES[rule] if kind == "Role" or SPACED not in text]
    if not wrongs:
        assert status == 201, message
        return
    said = wrongs[0] if len(wrongs) == 1 else f"[{', '.join(wrongs)}]"
    said = said.replace("URLS", URLS[cluster.profile])
    assert (status, message) == (422, f'{kind}.{RBAC} "x" is invalid: {said}')


def reference(**more: Any) -> dict[str, Any]:
    return {"roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "r", **more}}


def subject(**more: Any) -> dict[str, Any]:
    return {**reference(), "subjects": [{"kind": "User", "name": "u", **more}]}


BINDINGS: dict[str, Any] = {
    "a group": (reference(apiGroup="x"), f'roleRef.apiGroup: Unsupported value: "x": supported values: "{RBAC}"'),
    "a kind": (
        reference(kind="No"),
        'roleRef.kind: Unsupported value: "No": supported values: "Role", "ClusterRole"',
    ),
    "a name": (reference(name=""), "roleRef.name: Required value"),
    "the kind of a subject": (
        subject(kind="No"),
        'subjects[0].kind: Unsupported value: "No": supported values: "ServiceAccount", "User", "Group"',
    ),
    "the name of a subject": (subject(name=""), "subjects[0].name: Required value"),
    "the group of a subject": (
        subject(apiGroup="y"),
        f'subjects[0].apiGroup: Unsupported value: "y": supported values: "{RBAC}"',
    ),
}


@pytest.mark.parametrize("name", BINDINGS)
def test_a_binding(cluster, name: str) -> None:
    body, said = BINDINGS[name]
    found = refusal(cluster, f"/apis/{RBAC}/v1/namespaces/{cluster.namespace()}/rolebindings", body)
    assert found == (422, f'RoleBinding.{RBAC} "x" is invalid: {said}')


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_namespaces_that_stay(cluster, name: str) -> None:
    answer = cluster.call("DELETE", f"/api/v1/namespaces/{name}?dryRun=All")
    said = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (403, "Forbidden", said)


@pytest.mark.parametrize("kind", ["merge-patch", "json-patch", "strategic-merge-patch"])
def test_a_patch_to_a_value_of_the_wrong_type(cluster, kind: str) -> None:
    path = cluster.services(cluster.namespace())
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).status == 201
    merge: Any = {"spec": {"selector": "x"}}
    patch = [{"op": "add", "path": "/spec/selector", "value": "x"}] if kind == "json-patch" else merge
    answer = cluster.call("PATCH", f"{path}/s", patch, f"application/{kind}+json")
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    assert answer.body["message"].startswith(' "" is invalid: patch: Invalid value: "')
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == ["patch"]


def test_a_strategic_merge_changes_no_kind(cluster) -> None:
    path = cluster.services(cluster.namespace())
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).status == 201
    kind = "application/strategic-merge-patch+json"
    answer = cluster.call("PATCH", f"{path}/s", {"kind": "Pod", "metadata": {"labels": {"a": "b"}}}, kind)
    assert (answer.status, answer.body["kind"], answer.body["metadata"]["labels"]) == (200, "Service", {"a": "b"})
    answer = cluster.merge(f"{path}/s", {"kind": "Pod"})
    assert answer.status == 422, answer


LABELS = {"a": "b"}
NEGATIVE = "Invalid value: -1: must be greater than or equal to 0"
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def portion(text: str) -> dict[str, str]:
    return {"1.36": f'"{text}"', "1.20": f'intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{text}"}}'}


def shown(expression: dict[str, Any]) -> dict[str, str]:
    values = "".join(f'"{value}"' for value in expression.get("values", []))
    told = f"[]string{{{values}}}" if values else "[]string(nil)"
    old = f'Key:"{expression["key"]}", Operator:"{expression["operator"]}", Values:{told}'
    kind = "v1.LabelSelectorRequirement"
    selector = f"v1.LabelSelector{{MatchLabels:map[string]string(nil), MatchExpressions:[]{kind}{{{kind}{{{old}}}}}}}"
    return {"1.36": json.dumps({"matchExpressions": [expression]}, separators=(",", ":")), "1.20": selector}


def rolling(**more: Any) -> dict[str, Any]:
    return {"strategy": {"rollingUpdate": more}}


def template(**meta: Any) -> dict[str, Any]:
    return {"template": {"metadata": {"labels": LABELS, **meta}, "spec": container()}}


SURGE, MISSING = "spec.strategy.rollingUpdate.maxSurge", "spec.strategy.rollingUpdate.maxUnavailable"
DEPLOYMENTS: dict[str, Any] = {
    "time to be ready": ({"minReadySeconds": -1}, f"spec.minReadySeconds: {NEGATIVE}"),
    "old revisions": ({"revisionHistoryLimit": -1}, f"spec.revisionHistoryLimit: {NEGATIVE}"),
    "a deadline before it can be ready": (
        {"progressDeadlineSeconds": 10, "minReadySeconds": 20},
        "spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds",
    ),
    "a surge below nothing": (rolling(maxSurge=-1), f"{SURGE}: {NEGATIVE}"),
    "a surge that is no share": (
        rolling(maxSurge="x%"),
        {v: f"{SURGE}: Invalid value: {text}: {PERCENT}" for v, text in portion("x%").items()},
    ),
    "more than all": (
        rolling(maxUnavailable="101%"),
        {v: f"{MISSING}: Invalid value: {text}: must not be greater than 100%" for v, text in portion("101%").items()},
    ),
    "a label of its pods": (
        template(labels={**LABELS, "x": "y z"}),
        f'spec.template.labels: Invalid value: "y z": {VALUE}',
    ),
}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment(cluster, name: str) -> None:
    spec, said = DEPLOYMENTS[name]
    said = said[cluster.profile] if isinstance(said, dict) else said
    body = {"spec": {"selector": {"matchLabels": LABELS}, **template(), **spec}}
    found = refusal(cluster, f"/apis/apps/v1/namespaces/{cluster.namespace()}/deployments", body)
    assert found == (422, f'Deployment.apps "x" is invalid: {said}')


EXPRESSIONS = {
    '{"key":"a","operator":"Nope"}': 'operator: Invalid value: "Nope": not a valid selector operator',
    '{"key":"a","operator":"In"}': "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    '{"key":"a","operator":"Exists","values":["x"]}': (
        "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
    ),
}


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
def test_a_selector_of_a_workload(cluster, kind: str, text: str) -> None:
    expression = json.loads(text)
    body = {"spec": {"selector": {"matchExpressions": [expression]}, **template()}}
    found = refusal(cluster, f"/apis/apps/v1/namespaces/{cluster.namespace()}/{kind.lower()}s", body)
    first = f"spec.selector.matchExpressions[0].{EXPRESSIONS[text]}"
    second = f"spec.selector: Invalid value: {shown(expression)[cluster.profile]}: invalid label selector"
    assert found == (422, f'{kind}.apps "x" is invalid: [{first}, {second}]')


def test_a_lease(cluster) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace()}/leases"
    head = 'Lease.coordination.k8s.io "x" is invalid: spec.'
    said = f"{head}leaseDurationSeconds: Invalid value: 0: must be greater than 0"
    assert refusal(cluster, path, {"spec": {"leaseDurationSeconds": 0}}) == (422, said)
    why = {"1.36": "must be greater than or equal to 0", "1.20": "must to greater or equal than 0"}[cluster.profile]
    said = f"{head}leaseTransitions: Invalid value: -1: {why}"
    assert refusal(cluster, path, {"spec": {"leaseTransitions": -1}}) == (422, said)


def test_an_event_about_another_namespace(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/events"
    body = {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"}}
    said = 'Event "x" is invalid: involvedObject.namespace: Invalid value: "other": does not match event.namespace'
    assert refusal(cluster, path, body) == (422, said)
