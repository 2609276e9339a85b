"""The fields of typed objects: decoding, dropping of unknown fields, strict checks and OpenAPI from one table.

A schema is "string", "int", "bool", "intstr", "time", "any", "strings" (list), "map" (string to string), a dict of
fields, or a one-element list of a schema. "any" keeps whatever is sent.
"""

from __future__ import annotations

from typing import Any

from .errors import ApiError, Document, bad_request
from .profiles import Profile

Schema = Any

META: dict[str, Schema] = {
    "name": "string",
    "generateName": "string",
    "namespace": "string",
    "selfLink": "string",
    "uid": "string",
    "resourceVersion": "string",
    "generation": "int",
    "creationTimestamp": "time",
    "deletionTimestamp": "time",
    "deletionGracePeriodSeconds": "int",
    "labels": "map",
    "annotations": "map",
    "ownerReferences": [
        {
            "apiVersion": "string",
            "kind": "string",
            "name": "string",
            "uid": "string",
            "controller": "bool",
            "blockOwnerDeletion": "bool",
        }
    ],
    "finalizers": "strings",
    "managedFields": "any",
}

_OLD_SPEC: dict[str, Schema] = {
    "ports": [
        {
            "name": "string",
            "protocol": "string",
            "appProtocol": "string",
            "port": "int",
            "targetPort": "intstr",
            "nodePort": "int",
        }
    ],
    "selector": "map",
    "clusterIP": "string",
    "clusterIPs": "strings",
    "type": "string",
    "externalIPs": "strings",
    "sessionAffinity": "string",
    "loadBalancerIP": "string",
    "loadBalancerSourceRanges": "strings",
    "externalName": "string",
    "externalTrafficPolicy": "string",
    "healthCheckNodePort": "int",
    "publishNotReadyAddresses": "bool",
    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": "int"}},
}
_NEW_SPEC: dict[str, Schema] = _OLD_SPEC | {
    "ipFamilies": "strings",
    "ipFamilyPolicy": "string",
    "allocateLoadBalancerNodePorts": "bool",
    "loadBalancerClass": "string",
    "internalTrafficPolicy": "string",
    "trafficDistribution": "string",
}
_INGRESS: dict[str, Schema] = {
    "ip": "string",
    "hostname": "string",
    "ports": [{"port": "int", "protocol": "string", "error": "string"}],
}
_REFERENCE: dict[str, Schema] = {
    "kind": "string",
    "namespace": "string",
    "name": "string",
    "uid": "string",
    "apiVersion": "string",
    "resourceVersion": "string",
    "fieldPath": "string",
}
_ADDRESS: dict[str, Schema] = {"ip": "string", "hostname": "string", "nodeName": "string", "targetRef": _REFERENCE}
_PORT: dict[str, Schema] = {"name": "string", "port": "int", "protocol": "string", "appProtocol": "string"}
_RULE: dict[str, Schema] = dict.fromkeys(
    ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), "strings"
)
_BINDING: dict[str, Schema] = {
    "subjects": [{"kind": "string", "apiGroup": "string", "name": "string", "namespace": "string"}],
    "roleRef": {"apiGroup": "string", "kind": "string", "name": "string"},
}
_STATUS = "any"


def schema_of(kind: str, profile: Profile) -> dict[str, Schema]:
    """Return the fields of a kind, apiVersion, kind and metadata included."""
    own: dict[str, Schema]
    match kind:
        case "Service":
            ingress = _INGRESS | ({"ipMode": "string"} if profile.ip_mode else {})
            own = {
                "spec": _NEW_SPEC if profile.modern_service_fields else _OLD_SPEC,
                "status": {"loadBalancer": {"ingress": [ingress]}, "conditions": _STATUS},
            }
        case "ConfigMap":
            own = {"data": "map", "binaryData": "map", "immutable": "bool"}
        case "Secret":
            own = {"data": "map", "stringData": "map", "type": "string", "immutable": "bool"}
        case "ServiceAccount":
            own = {"secrets": "any", "imagePullSecrets": "any", "automountServiceAccountToken": "bool"}
        case "Namespace":
            own = {"spec": {"finalizers": "strings"}, "status": _STATUS}
        case "Endpoints":
            own = {"subsets": [{"addresses": [_ADDRESS], "notReadyAddresses": [_ADDRESS], "ports": [_PORT]}]}
        case "EndpointSlice":
            endpoint: dict[str, Schema] = {
                "addresses": "strings",
                "conditions": {"ready": "bool", "serving": "bool", "terminating": "bool"},
                "hostname": "string",
                "targetRef": _REFERENCE,
                "nodeName": "string",
                "zone": "string",
                "topology": "map",
                "deprecatedTopology": "map",
                "hints": "any",
            }
            own = {"addressType": "string", "endpoints": [endpoint], "ports": [_PORT]}
        case "Role":
            own = {"rules": [_RULE]}
        case "ClusterRole":
            own = {"rules": [_RULE], "aggregationRule": "any"}
        case "RoleBinding" | "ClusterRoleBinding":
            own = dict(_BINDING)
        case "IPAddressPool":
            allocation: dict[str, Schema] = {
                "priority": "int",
                "namespaces": "strings",
                "namespaceSelectors": "any",
                "serviceSelectors": "any",
            }
            spec: dict[str, Schema] = {
                "addresses": "strings",
                "autoAssign": "bool",
                "avoidBuggyIPs": "bool",
                "serviceAllocation": allocation,
            }
            own = {"spec": spec, "status": _STATUS}
        case "L2Advertisement":
            own = {"spec": "any", "status": _STATUS}
        case "Event":
            return {}
        case _:
            own = {"spec": "any", "status": _STATUS}
    return {"apiVersion": "string", "kind": "string", "metadata": META, **own}


class _Mismatch(Exception):
    def __init__(self, path: str, sent: str, wanted: str) -> None:
        super().__init__(path)
        self.path, self.sent, self.wanted = path, sent, wanted


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _decode(schema: Schema, value: Any, path: str, unknown: list[str]) -> Any:
    if value is None or schema == "any":
        return value
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            raise _Mismatch(path, _json_type(value), "object")
        result: Document = {}
        for key, item in value.items():
            inner = f"{path}.{key}" if path else key
            if key not in schema:
                unknown.append(inner)
                continue
            decoded = _decode(schema[key], item, inner, unknown)
            if decoded is not None:
                result[key] = decoded
        return result
    if isinstance(schema, list) or schema == "strings":
        if not isinstance(value, list):
            raise _Mismatch(path, _json_type(value), "[]string" if schema == "strings" else "array")
        inner_schema = "string" if schema == "strings" else schema[0]
        return [_decode(inner_schema, item, f"{path}[{i}]", unknown) for i, item in enumerate(value)]
    if schema == "map":
        if not isinstance(value, dict):
            raise _Mismatch(path, _json_type(value), "map[string]string")
        for key, item in value.items():
            if not isinstance(item, str):
                raise _Mismatch(path if item is not None else f"{path}.{key}", _json_type(item), "string")
        return dict(value)
    good = {
        "string": isinstance(value, str),
        "time": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "intstr": isinstance(value, int | str) and not isinstance(value, bool),
    }[schema]
    if not good:
        raise _Mismatch(
            path, _json_type(value), {"int": "int32", "time": "Time", "intstr": "IntOrString"}.get(schema, str(schema))
        )
    return value


def decode(kind: str, api_version: str, document: Any, profile: Profile, validation: str) -> tuple[Document, list[str]]:
    """Type-check a document and drop what the type does not have.

    `validation` is Strict, Warn or Ignore. Returns the document and the warnings to send. Raises 400.
    """
    version = api_version.rsplit("/", 1)[-1]
    if not isinstance(document, dict):
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal')
    schema = schema_of(kind, profile)
    if not schema:
        return document, []
    unknown: list[str] = []
    try:
        decoded = _decode(schema, document, "", unknown)
    except _Mismatch as error:
        where = f"json: cannot unmarshal {error.sent} into Go struct field {kind}.{error.path} of type {error.wanted}"
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {where}') from None
    found = [f'unknown field "{path}"' for path in unknown]
    if found and validation == "Strict":
        message = f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: ' + ", ".join(
            found
        )
        raise ApiError(400, "BadRequest", message)
    return decoded, found if validation == "Warn" else []


def openapi(schema: Schema) -> Any:
    """Return an OpenAPI v3 schema object."""
    if isinstance(schema, dict):
        return {"type": "object", "properties": {name: openapi(inner) for name, inner in schema.items()}}
    if isinstance(schema, list):
        return {"type": "array", "items": openapi(schema[0])}
    return {
        "string": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "int": {"type": "integer", "format": "int32"},
        "bool": {"type": "boolean"},
        "intstr": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
        "strings": {"type": "array", "items": {"type": "string"}},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }[schema]
