"""Patches, selectors, rights and DNS messages, each by itself."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edge_expose_local.cluster.access.rbac import Attributes, rule_allows
from edge_expose_local.cluster.datapath import dns_codec
from edge_expose_local.cluster.encoding.protobuf import Codec
from edge_expose_local.cluster.kinds.errors import ApiError
from edge_expose_local.cluster.kinds.selectors import label_predicate
from edge_expose_local.cluster.kinds.types import types_of
from edge_expose_local.cluster.kubelet.images import IMAGES
from edge_expose_local.cluster.objects.patches import json_merge, json_patch
from edge_expose_local.cluster.objects.strategic import StrategicMerge


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": None}, {"b": 2}, id="null deletes"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists are replaced"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": {"d": None}}}, {"a": {"b": 1, "c": {}}}, id="nested nulls vanish"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="an object replaces a number"),
    ],
)
def test_json_merge(target, patch, result) -> None:
    assert json_merge(target, patch) == result


def test_json_patch_moves_and_escapes_and_refuses() -> None:
    document = {"a/b": [1, 2], "c": {}}
    operations = [{"op": "move", "from": "/a~1b/0", "path": "/c/x"}, {"op": "add", "path": "/a~1b/-", "value": 3}]
    assert json_patch(document, operations) == {"a/b": [2, 3], "c": {"x": 1}}
    assert document == {"a/b": [1, 2], "c": {}}
    with pytest.raises(ApiError):
        json_patch(document, [{"op": "remove", "path": "/none"}])


def test_strategic_merge_joins_orders_and_deletes_ports_by_number() -> None:
    ports = [{"name": "a", "port": 1, "nodePort": 30001}, {"name": "b", "port": 2}]
    patch = {
        "spec": {
            "$setElementOrder/ports": [{"port": 3}, {"port": 1}],
            "ports": [{"port": 3}, {"$patch": "delete", "port": 2}],
        }
    }
    assert StrategicMerge(types_of("1.36.3")).merge({"spec": {"ports": ports}}, patch, "Service") == {
        "spec": {"ports": [{"port": 3}, ports[0]]}
    }


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("a=b", True),
        ("a==c", False),
        ("a!=c", True),
        ("!z", True),
        ("z", False),
        ("a in (b,c),n>4", True),
        ("n<5", False),
    ],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    predicate = label_predicate(selector, paths=True)
    assert predicate is not None
    assert predicate({"metadata": {"labels": {"a": "b", "n": "5"}}}) is matches


@pytest.mark.parametrize(
    ("wish", "allowed"),
    [
        pytest.param(Attributes("get", "", "services", "n", "x"), True, id="the named object"),
        pytest.param(Attributes("get", "", "services", "n", "y"), False, id="another name"),
        pytest.param(Attributes("get", "", "services/status", "n", "x"), False, id="a subresource is another resource"),
        pytest.param(Attributes("get", "apps", "services", "n", "x"), False, id="another group"),
        pytest.param(Attributes("list", "", "services", "n"), False, id="another verb"),
    ],
)
def test_a_rule(wish: Attributes, allowed: bool) -> None:
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["services"], "resourceNames": ["x"]}
    assert rule_allows(rule, wish) is allowed


def test_dns_answers_carry_the_question_and_cut_what_does_not_fit() -> None:
    query = (
        struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
        + dns_codec.encode_name("Web.b.svc.cluster.local")
        + struct.pack("!HH", 1, 1)
    )
    question = dns_codec.parse(query)
    assert question.name == "web.b.svc.cluster.local"
    records = [dns_codec.a_record(question.name, f"10.0.0.{i}") for i in range(60)]
    whole = dns_codec.reply(question, 0, records, [], "cluster.local", 65535)
    assert struct.unpack("!HHHH", whole[:8])[3] == 60
    cut = dns_codec.reply(question, 0, records, [], "cluster.local", 512)
    assert len(cut) <= 512
    assert cut[2] & 0x02
    with pytest.raises(dns_codec.Malformed):
        dns_codec.parse(query[:-3])


def test_a_protobuf_envelope_is_read_and_garbage_is_refused() -> None:
    meta = b"\x0a\x01n"
    raw = b"\x0a" + bytes([len(meta)]) + meta
    head = b"\x0a\x02v1\x12\x09Namespace"
    body = b"k8s\0\x0a" + bytes([len(head)]) + head + b"\x12" + bytes([len(raw)]) + raw
    assert Codec(types_of("1.36.3")).read(body) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    with pytest.raises(ApiError):
        Codec(types_of("1.36.3")).read(b"k8s\0\xff\xff")


def test_every_image_of_the_table_has_its_program() -> None:
    assert [command for command in IMAGES.values() if not Path(command[-1]).is_file()] == []
