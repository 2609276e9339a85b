"""Bodies that cannot be read: what is said of them, in Go's words."""

from __future__ import annotations

import json

import pytest

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'

BODIES = {
    "{bad": "invalid character 'b' looking for beginning of object key string",
    '{"a":1': "unexpected end of JSON input",
    "": "unexpected end of JSON input",
    '{"a" 1}': "invalid character '1' after object key",
    '{"a":1 "b":2}': "invalid character '\"' after object key:value pair",
    '{"a":[1 2]}': "invalid character '2' after array element",
    '{"metadata":}': "invalid character '}' looking for beginning of value",
    '{"a":1}}': "invalid character '}' after top-level value",
    "{'a':1}": "invalid character '\\'' looking for beginning of object key string",
    '{"a":nope}': "invalid character 'o' in literal null (expecting 'u')",
    "nonsense": "invalid character 'o' in literal null (expecting 'u')",
    '{"a":"\\x"}': "invalid character 'x' in string escape code",
    '{"a":tru': "invalid character ' ' in literal true (expecting 'e')",
    '{"a":1.}': "invalid character '}' after decimal point in numeric literal",
    '{"a":1e}': "invalid character '}' in exponent of numeric literal",
    '{"a":01}': "invalid character '1' after object key:value pair",
    '{"a":"b': "unexpected end of JSON input",
    '{"a":-}': "invalid character '}' in numeric literal",
    "[]": f"json: cannot unmarshal array into Go value of type {HEAD}",
    '"text"': f"json: cannot unmarshal string into Go value of type {HEAD}",
    "7": f"json: cannot unmarshal number into Go value of type {HEAD}",
    '{"metadata": {"name": "a-name-that-is-long-enough"}, no': (
        "invalid character 'n' looking for beginning of object key string"
    ),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_object(cluster, body: str) -> None:
    answer = cluster.call("POST", cluster.services(cluster.namespace()), body.encode())
    data = body if body.startswith("{") else body.encode().hex()
    most = 30 if body.startswith("{") else 60
    shown = data[:most] + (" ..." if len(data) > most else "") or "<empty>"
    why = f"couldn't get version/kind; json parse error: {BODIES[body]} ({shown})"
    said = f"the object provided is unrecognized (must be of type Service): {why}"
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (400, "BadRequest", said)


@pytest.fixture
def service(cluster) -> str:
    path = cluster.services(cluster.namespace())
    assert cluster.call("POST", path, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).status == 201
    return f"{path}/s"


BAD_KEY = "invalid character 'b' looking for beginning of object key string"
ENDS = "unexpected end of JSON input"
MAP = "json: cannot unmarshal string into Go value of type map[string]interface {}"
NO_LIST = "json: cannot unmarshal object into Go value of type "
PATCHES = {
    "a merge": ("{bad", MERGE, (400, f"error decoding patch: {BAD_KEY}"), (500, "Invalid JSON Patch")),
    "an empty merge": ("", MERGE, (400, f"error decoding patch: {ENDS}"), (500, "Invalid JSON Patch")),
    "a strategic merge": ("{bad", STRATEGIC, (400, BAD_KEY), (400, BAD_KEY)),
    "a strategic merge that breaks off": ('{"a":1', STRATEGIC, (400, ENDS), (400, "unexpected EOF")),
    "a strategic merge of a text": ('"x"', STRATEGIC, (400, MAP), (400, MAP)),
    "a JSON patch": ("[{bad", JSON_PATCH, (400, f"error decoding patch: {BAD_KEY}"), (400, BAD_KEY)),
    "a JSON patch that is no list": (
        '{"a":1}',
        JSON_PATCH,
        (400, f"error decoding patch: {NO_LIST}[]handlers.jsonPatchOp"),
        (400, f"{NO_LIST}jsonpatch.Patch"),
    ),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_that_cannot_be_read(cluster, service, name: str) -> None:
    body, kind, new, old = PATCHES[name]
    answer = cluster.call("PATCH", service, body.encode(), kind)
    assert (answer.status, answer.body["message"]) == (new if cluster.profile == "1.36" else old)


OPERATIONS = {
    "what is not there is removed": {"op": "remove", "path": "/spec/nosuch"},
    "a value is another": {"op": "test", "path": "/spec/type", "value": "x"},
    "the operation is not known": {"op": "nosuch", "path": "/spec/type"},
    "the parent is not there": {"op": "add", "path": "/metadata/annotations/x", "value": "y"},
    "the index is beyond the end": {"op": "add", "path": "/spec/ports/7", "value": {}},
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_cannot_be_done(cluster, service, name: str) -> None:
    answer = cluster.call("PATCH", service, json.dumps([OPERATIONS[name]]).encode(), JSON_PATCH)
    said = "the server rejected our request due to an error in our request"
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (422, "Invalid", said)


def test_what_is_not_there_can_be_replaced(cluster, service) -> None:
    operations = [{"op": "replace", "path": "/metadata/labels", "value": {"a": "b"}}]
    answer = cluster.call("PATCH", service, json.dumps(operations).encode(), JSON_PATCH)
    assert (answer.status, answer.body["metadata"].get("labels")) == (200, {"a": "b"})
