"""The forms of bodies: protobuf of every kind, YAML, metadata alone, strict reading, and what is not acceptable."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from edge_expose_local.cluster.encoding import wire
from edge_expose_local.cluster.encoding.protobuf import Codec
from edge_expose_local.cluster.kinds.types import types_of
from support.kubernetes_kinds import Sample, samples

PROTOBUF = "application/vnd.kubernetes.protobuf"
PARTIAL = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
KINDS = [f"{s.group or 'core'}/{s.kind}" for s in samples("x", "x", "1.36")]


@pytest.fixture
def codec(cluster) -> Codec:
    return Codec(types_of({"1.36": "1.36.3", "1.20": "1.20.15"}[cluster.profile]))


@pytest.fixture
def made(cluster, request: pytest.FixtureRequest) -> Iterator[tuple[Sample, str]]:
    """One of the kinds, and the path to make it at; what has no namespace is removed at the end."""
    namespace, name = cluster.namespace(), f"t-{uuid.uuid4().hex[:8]}"
    sample = samples(name, namespace, cluster.profile)[KINDS.index(request.param)]
    yield sample, sample.path(namespace)
    if not sample.namespaced:
        cluster.call("DELETE", f"{sample.path('')}/{name}")


def written(value: Any) -> Any:
    """Without what protobuf cannot tell from nothing: empty texts, zeros, falses, nulls and empty objects."""
    if isinstance(value, dict):
        found = {key: written(item) for key, item in value.items() if key != "managedFields"}
        return {key: item for key, item in found.items() if item not in (None, "", 0, False, {}, [])}
    return [written(item) for item in value] if isinstance(value, list) else value


def settled(obj: dict[str, Any]) -> Any:
    """Without what controllers write soon after."""
    if obj["apiVersion"] != "apps/v1":
        return written(obj)
    meta = {key: obj["metadata"][key] for key in ("name", "namespace", "uid", "labels")}
    return written({**obj, "metadata": meta, "status": None})


def events(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The events of a watch in protobuf: type, and the object in its envelope."""
    while data:
        (size,) = struct.unpack(">I", data[:4])
        event = dict(wire.fields(data[4 : 4 + size]))
        assert isinstance(event[1], bytes)
        assert isinstance(event[2], bytes)
        raw = dict(wire.fields(event[2]))[1]
        assert isinstance(raw, bytes)
        yield event[1].decode(), raw
        data = data[4 + size :]


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_a_kind_is_made_and_read_in_protobuf(cluster, codec, made) -> None:
    sample, path = made
    answer = cluster.raw("POST", path, codec.write(sample.document), PROTOBUF, PROTOBUF)
    assert (answer.status, answer.kind) == (201, PROTOBUF), answer
    created = codec.read(answer.data)
    name = created["metadata"]["name"]
    shown = cluster.call("GET", f"{path}/{name}").body
    assert settled(codec.read(cluster.raw("GET", f"{path}/{name}", accept=PROTOBUF).data)) == settled(shown)
    plain = {
        key: value for key, value in sample.document.items() if key not in ("metadata", "spec", "apiVersion", "kind")
    }
    assert (
        {key: shown[key] for key in plain if key != "status"} == {k: v for k, v in plain.items() if k != "status"}
        or plain.get("subsets")
        or plain.get("endpoints")
    )
    changed = {**shown, "metadata": {**shown["metadata"], "labels": {"changed": "yes"}}}
    if sample.group == "apps":
        del changed["metadata"]["resourceVersion"]  # controllers write meanwhile
    answer = cluster.raw("PUT", f"{path}/{name}", codec.write(changed), PROTOBUF, PROTOBUF)
    assert answer.status == 200, answer
    assert codec.read(answer.data)["metadata"]["labels"]["changed"] == "yes"


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_a_kind_is_listed_and_watched_in_protobuf(cluster, codec, made) -> None:
    sample, path = made
    created = cluster.call("POST", path, sample.document).body
    name, version = created["metadata"]["name"], int(created["metadata"]["resourceVersion"])
    only = f"fieldSelector={quote(f'metadata.name={name}')}"
    answer = cluster.raw("GET", f"{path}?{only}", accept=PROTOBUF)
    assert (answer.status, answer.kind) == (200, PROTOBUF)
    assert [settled(item) for item in _items(codec, answer.data, created)] == [settled(created)]
    query = f"{path}?{only}&watch=1&timeoutSeconds=1&resourceVersion={version - 1}"
    watched = cluster.raw("GET", query, accept=PROTOBUF)
    assert watched.kind == f"{PROTOBUF};stream=watch"
    kind, obj = next(iter(events(watched.data)))
    assert kind == "ADDED"
    assert settled(codec.read(obj)) == settled(created)


def _items(codec: Codec, data: bytes, like: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a list: each is put in an envelope of its own and read."""
    raw = dict(wire.fields(data[4:]))[2]
    assert isinstance(raw, bytes)
    head = wire.chunk(1, like["apiVersion"].encode()) + wire.chunk(2, like["kind"].encode())
    items = [item for number, item in wire.fields(raw) if number == 2 and isinstance(item, bytes)]
    return [codec.read(b"k8s\0" + wire.chunk(1, head) + wire.chunk(2, item)) for item in items]


def test_a_refusal_comes_in_the_form_that_was_asked_for(cluster, codec) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps/none"
    plain = cluster.call("GET", path).body
    assert written(codec.read(cluster.raw("GET", path, accept=PROTOBUF).data)) == written(plain)
    answer = cluster.raw("GET", path, accept="application/yaml")
    assert (answer.status, answer.kind) == (404, "application/yaml")
    assert yaml.safe_load(answer.data) == plain


def test_yaml_is_answered_and_read(cluster) -> None:
    namespace = cluster.namespace()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  when: '2026-01-01'\n  then: 'no'\n"
    answer = cluster.raw("POST", path, text.encode(), "application/yaml", "application/yaml")
    assert (answer.status, answer.kind) == (201, "application/yaml")
    shown = cluster.call("GET", f"{path}/one").body
    assert yaml.safe_load(answer.data)["data"] == shown["data"] == {"when": "2026-01-01", "then": "no"}
    listed = yaml.safe_load(
        cluster.raw("GET", f"{path}?fieldSelector=metadata.name%3Done", accept="application/yaml").data
    )
    assert (listed["kind"], [i["metadata"]["name"] for i in listed["items"]]) == ("ConfigMapList", ["one"])


@pytest.mark.parametrize("kind", ["application/json", PROTOBUF])
def test_a_watch_can_tell_metadata_alone(cluster, codec, kind: str) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    made = cluster.call("POST", path, {"metadata": {"name": "one"}, "data": {"k": "v"}}).body
    version = int(made["metadata"]["resourceVersion"])
    query = f"{path}?watch=1&timeoutSeconds=1&resourceVersion={version - 1}&fieldSelector=metadata.name%3Done"
    answer = cluster.raw("GET", query, accept=f"{kind};{PARTIAL}")
    if kind == PROTOBUF:
        told = [(type_, codec.read(obj)) for type_, obj in events(answer.data)]
    else:
        told = [(event["type"], event["object"]) for event in map(json.loads, answer.data.splitlines())]
    type_, obj = told[0]
    assert (type_, obj["kind"], obj["apiVersion"]) == ("ADDED", "PartialObjectMetadata", "meta.k8s.io/v1")
    assert obj["metadata"]["uid"] == made["metadata"]["uid"]
    assert "data" not in obj


@pytest.mark.parametrize("kind", ["application/json", "application/yaml", PROTOBUF])
def test_lists_and_objects_can_be_metadata_alone(cluster, codec, kind: str) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    cluster.call("POST", path, {"metadata": {"name": "one"}, "data": {"k": "v"}})
    read = codec.read if kind == PROTOBUF else yaml.safe_load
    one = read(cluster.raw("GET", f"{path}/one", accept=f"{kind};{PARTIAL}").data)
    assert (one["kind"], one["metadata"]["name"]) == ("PartialObjectMetadata", "one")
    many = read(cluster.raw("GET", path, accept=f"{kind};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").data)
    assert many["kind"] == "PartialObjectMetadataList"
    assert "one" in [item["metadata"]["name"] for item in many["items"]]


ALL = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
STREAMS = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
ONLY = "only the following media types are accepted: "


@pytest.mark.parametrize(
    ("path", "accept", "message"),
    [
        ("/api/v1/namespaces/default", "text/plain", f"406: Not Acceptable\n\nAvailable representations: {ALL}"),
        ("/api/v1/namespaces/default", "application/*", f"406: Not Acceptable\n\nAvailable representations: {ALL}"),
        ("/api/v1/namespaces", "text/plain", f"406: Not Acceptable\n\nAvailable representations: {ALL}, {STREAMS}"),
        ("/version", "text/plain", "406: Not Acceptable\n\nAvailable representations: application/json"),
        ("/api/v1/namespaces/default", "application/json;as=Other;g=meta.k8s.io;v=v1", ONLY + ALL),
        ("/api/v1/namespaces/default", "application/json;as=Table;g=meta.k8s.io;v=v2", ONLY + ALL),
        ("/api/v1/namespaces/default", f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1", ONLY + ALL),
        (
            "/api/v1/namespaces/default",
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            "you requested PartialObjectMetadataList, but the requested object is not a list (*core.Namespace)",
        ),
        (
            "/api/v1/namespaces",
            f"application/json;{PARTIAL}",
            "you requested PartialObjectMetadata, but the requested object is a list (*core.NamespaceList)",
        ),
    ],
)
def test_what_cannot_be_had_is_not_acceptable(cluster, path: str, accept: str, message: str) -> None:
    answer = cluster.raw("GET", path, accept=accept)
    body = json.loads(answer.data)
    if cluster.profile == "1.20":
        message = message.partition("\n")[0]
    assert (answer.status, body["reason"], body["message"]) == (406, "NotAcceptable", message)


def test_a_watch_has_no_yaml(cluster) -> None:
    answer = cluster.raw("GET", "/api/v1/namespaces?watch=1&timeoutSeconds=1", accept="application/yaml")
    assert (answer.status, answer.kind) == (406, "application/yaml")
    assert yaml.safe_load(answer.data)["message"] == ONLY + STREAMS


def test_the_next_best_is_taken(cluster) -> None:
    for accept in ("application/json;as=Other,application/json", "text/html, application/json;q=0.5", "*/*"):
        assert cluster.raw("GET", "/api/v1/namespaces/default", accept=accept).kind == "application/json"
    pools = "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools"
    if cluster.profile == "1.36":  # custom resources have no protobuf
        assert cluster.raw("GET", pools, accept=f"{PROTOBUF},application/json").kind == "application/json"
        assert cluster.raw("GET", pools, accept=PROTOBUF).status == 406


def test_a_body_in_an_unknown_form_is_refused(cluster) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    answer = cluster.call("POST", path, b"x: 1", "text/plain")
    assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")
    assert (
        answer.body["message"]
        == f"the body of the request was in an unknown format - accepted media types include: {ALL}"
    )


DOUBLED = (
    b'{"metadata":{"name":"one","name":"two","labels":{"a":"1","a":"2"}},'
    b'"spec":{"ports":[{"port":1,"port":2,"foo":3}],"bar":1,"type":"ClusterIP","type":"NodePort"},'
    b'"spec":{"ports":[{"port":5}]}}'
)


def test_doubled_and_unknown_fields_are_refused_where_that_is_asked_for(cluster) -> None:
    path = f"{cluster.services(cluster.namespace())}?dryRun=All&fieldValidation="
    answer = cluster.call("POST", path + "Strict", DOUBLED)
    if cluster.profile == "1.36":
        assert answer.status == 400
        assert answer.body["message"] == (
            'Service in version "v1" cannot be handled as a Service: strict decoding error: '
            'duplicate field "metadata.name", duplicate field "metadata.labels.a", '
            'duplicate field "spec.ports[0].port", unknown field "spec.ports[0].foo", unknown field "spec.bar", '
            'duplicate field "spec.type", duplicate field "spec"'
        )
    else:  # that version does not know the option
        assert answer.status == 201
    for mode in ("Warn", "Ignore"):
        answer = cluster.call("POST", path + mode, DOUBLED)
        assert (answer.status, answer.body["metadata"]["name"]) == (201, "two")
        assert [port["port"] for port in answer.body["spec"]["ports"]] == [5]
        assert answer.body["metadata"]["labels"] == {"a": "2"}


def test_doubled_keys_of_yaml_are_told_by_line(cluster) -> None:
    path = f"{cluster.services(cluster.namespace())}?dryRun=All&fieldValidation=Strict"
    text = b"kind: Service\napiVersion: v1\nmetadata:\n  name: a\n  name: b\n"
    text += b"spec:\n  bar: 1\n  ports:\n  - port: 1\n    port: 2\n"
    answer = cluster.call("POST", path, text, "application/yaml")
    if cluster.profile == "1.36":
        assert answer.body["message"] == (
            'Service in version "v1" cannot be handled as a Service: strict decoding error: yaml: unmarshal errors:\n'
            '  line 5: key "name" already set in map\n  line 10: key "port" already set in map, '
            'unknown field "spec.bar"'
        )
    else:
        assert answer.status == 201


def test_doubled_and_unknown_fields_of_a_pod_and_of_a_patch(cluster) -> None:
    namespace = cluster.namespace()
    pod = (
        b'{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","name":"b","image":"x","imagee":"y",'
        b'"resources":{"limits":{"cpu":"1","cpu":"2"}}}],"nodeNam":"x"}}'
    )
    answer = cluster.call("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict", pod)
    patch = b'{"metadata":{"labels":{"a":"1","a":"2"}},"foo":1}'
    path = f"/api/v1/namespaces/{namespace}?dryRun=All&fieldValidation=Strict"
    patched = cluster.call("PATCH", path, patch, "application/strategic-merge-patch+json")
    if cluster.profile == "1.36":
        assert answer.body["message"] == (
            'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
            'duplicate field "spec.containers[0].name", unknown field "spec.containers[0].imagee", '
            'duplicate field "spec.containers[0].resources.limits.cpu", unknown field "spec.nodeNam"'
        )
        assert patched.status == 422
        assert patched.body["message"].startswith(' "" is invalid: patch: Invalid value: ')
        assert patched.body["message"].endswith(
            ': strict decoding error: duplicate field "metadata.labels.a", unknown field "foo"'
        )
    else:
        assert (answer.status, patched.status) == (201, 200)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"ports": [{"port": "x"}]},
            "cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            {"ports": {"port": 1}},
            "cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            {"ports": [{"port": 1.5}]},
            "cannot unmarshal number 1.5 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            {"selector": ["a"]},
            "cannot unmarshal array into Go struct field ServiceSpec.spec.selector of type map[string]string",
        ),
        (
            {"externalIPs": [1]},
            "cannot unmarshal number into Go struct field ServiceSpec.spec.externalIPs of type string",
        ),
        (
            {"externalIPs": "1"},
            "cannot unmarshal string into Go struct field ServiceSpec.spec.externalIPs of type []string",
        ),
    ],
)
def test_a_value_of_another_type_is_told_by_its_field(cluster, body: dict[str, Any], message: str) -> None:
    path = f"{cluster.services(cluster.namespace())}?dryRun=All"
    answer = cluster.call("POST", path, {"metadata": {"name": "one"}, "spec": body})
    assert answer.status == 400
    assert answer.body["message"].startswith('Service in version "v1" cannot be handled as a Service: ')
    if cluster.profile == "1.36":
        assert answer.body["message"].endswith(f": json: {message}")
