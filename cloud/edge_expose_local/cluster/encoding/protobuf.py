"""Kubernetes' protobuf bodies, decoded: some kubectl commands send nothing else. Answers are always JSON.

Only what kubectl and typed Go clients send for the kinds in `_MESSAGES` can be read; other kinds are refused with 415.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any

from ..kinds.errors import ApiError, Document, bad_request

_MAGIC = b"k8s\x00"
# field number : JSON name : type; * repeats, map: is a map of strings to that type
_MESSAGES = {
    "AggregationRule": "1:clusterRoleSelectors:*LabelSelector",
    "BoundObjectReference": "1:kind:string 2:apiVersion:string 3:name:string 4:uid:string",
    "ClientIPConfig": "1:timeoutSeconds:int32",
    "ClusterRole": "1:metadata:ObjectMeta 2:rules:*PolicyRule 3:aggregationRule:AggregationRule",
    "ClusterRoleBinding": "1:metadata:ObjectMeta 2:subjects:*Subject 3:roleRef:RoleRef",
    "ConfigMap": "1:metadata:ObjectMeta 2:data:map:string 3:binaryData:map:bytes 4:immutable:bool",
    "DeleteOptions": (
        "1:gracePeriodSeconds:int64 2:preconditions:Preconditions 3:orphanDependents:bool "
        "4:propagationPolicy:string 5:dryRun:*string"
    ),
    "LabelSelector": "1:matchLabels:map:string 2:matchExpressions:*LabelSelectorRequirement",
    "LabelSelectorRequirement": "1:key:string 2:operator:string 3:values:*string",
    "LocalObjectReference": "1:name:string",
    "Namespace": "1:metadata:ObjectMeta 2:spec:NamespaceSpec",
    "NamespaceSpec": "1:finalizers:*string",
    "NonResourceAttributes": "1:path:string 2:verb:string",
    "ObjectMeta": (
        "1:name:string 2:generateName:string 3:namespace:string 4:selfLink:string 5:uid:string "
        "6:resourceVersion:string 7:generation:int64 8:creationTimestamp:Time 9:deletionTimestamp:Time "
        "10:deletionGracePeriodSeconds:int64 11:labels:map:string 12:annotations:map:string "
        "13:ownerReferences:*OwnerReference 14:finalizers:*string"
    ),
    "ObjectReference": (
        "1:kind:string 2:namespace:string 3:name:string 4:uid:string 5:apiVersion:string "
        "6:resourceVersion:string 7:fieldPath:string"
    ),
    "OwnerReference": (
        "1:kind:string 3:name:string 4:uid:string 5:apiVersion:string 6:controller:bool 7:blockOwnerDeletion:bool"
    ),
    "PolicyRule": (
        "1:verbs:*string 2:apiGroups:*string 3:resources:*string 4:resourceNames:*string 5:nonResourceURLs:*string"
    ),
    "Preconditions": "1:uid:string 2:resourceVersion:string",
    "ResourceAttributes": (
        "1:namespace:string 2:verb:string 3:group:string 4:version:string 5:resource:string "
        "6:subresource:string 7:name:string"
    ),
    "Role": "1:metadata:ObjectMeta 2:rules:*PolicyRule",
    "RoleBinding": "1:metadata:ObjectMeta 2:subjects:*Subject 3:roleRef:RoleRef",
    "RoleRef": "1:apiGroup:string 2:kind:string 3:name:string",
    "Secret": "1:metadata:ObjectMeta 2:data:map:bytes 3:type:string 4:stringData:map:string 5:immutable:bool",
    "SelfSubjectAccessReview": "1:metadata:ObjectMeta 2:spec:SelfSubjectAccessReviewSpec",
    "SelfSubjectAccessReviewSpec": (
        "1:resourceAttributes:ResourceAttributes 2:nonResourceAttributes:NonResourceAttributes"
    ),
    "SelfSubjectReview": "1:metadata:ObjectMeta",
    "SelfSubjectRulesReview": "1:metadata:ObjectMeta 2:spec:SelfSubjectRulesReviewSpec",
    "SelfSubjectRulesReviewSpec": "1:namespace:string",
    "Service": "1:metadata:ObjectMeta 2:spec:ServiceSpec",
    "ServiceAccount": (
        "1:metadata:ObjectMeta 2:secrets:*ObjectReference 3:imagePullSecrets:*LocalObjectReference "
        "4:automountServiceAccountToken:bool"
    ),
    "ServicePort": (
        "1:name:string 2:protocol:string 3:port:int32 4:targetPort:IntOrString 5:nodePort:int32 6:appProtocol:string"
    ),
    "ServiceSpec": (
        "1:ports:*ServicePort 2:selector:map:string 3:clusterIP:string 4:type:string 5:externalIPs:*string "
        "7:sessionAffinity:string 8:loadBalancerIP:string 9:loadBalancerSourceRanges:*string 10:externalName:string "
        "11:externalTrafficPolicy:string 12:healthCheckNodePort:int32 13:publishNotReadyAddresses:bool "
        "14:sessionAffinityConfig:SessionAffinityConfig 17:ipFamilyPolicy:string 18:clusterIPs:*string "
        "19:ipFamilies:*string 20:allocateLoadBalancerNodePorts:bool 21:loadBalancerClass:string "
        "22:internalTrafficPolicy:string 23:trafficDistribution:string"
    ),
    "SessionAffinityConfig": "1:clientIP:ClientIPConfig",
    "Subject": "1:kind:string 2:apiGroup:string 3:name:string 4:namespace:string",
    "TokenRequest": "1:metadata:ObjectMeta 2:spec:TokenRequestSpec",
    "TokenRequestSpec": "1:audiences:*string 3:boundObjectRef:BoundObjectReference 4:expirationSeconds:int64",
}
_FIELDS: dict[str, dict[int, tuple[str, str]]] = {
    message: {int(part.split(":", 2)[0]): (part.split(":", 2)[1], part.split(":", 2)[2]) for part in text.split()}
    for message, text in _MESSAGES.items()
}


def is_protobuf(content_type: str) -> bool:
    """Tell whether a content type is Kubernetes' protobuf."""
    return content_type == "application/vnd.kubernetes.protobuf"


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number runs out")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                number, at = _varint(data, at)
                yield tag >> 3, number
            case 2:
                size, at = _varint(data, at)
                if at + size > len(data):
                    raise ValueError("a field runs out")
                yield tag >> 3, data[at : at + size]
                at += size
            case 1 | 5 as kind:
                size = 8 if kind == 1 else 4
                yield tag >> 3, data[at : at + size]
                at += size
            case _:
                raise ValueError("an unknown wire type")


def _value(kind: str, raw: int | bytes) -> Any:
    if isinstance(raw, int):
        if kind == "bool":
            return bool(raw)
        return raw - (1 << 64) if raw >> 63 else raw
    match kind:
        case "string":
            return raw.decode()
        case "bytes":
            return base64.b64encode(raw).decode()
        case "Time":
            seconds = next((v for n, v in _wire(raw) if n == 1 and isinstance(v, int)), 0)
            if not seconds or seconds >> 63:
                return None
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "IntOrString":
            parts = dict(_wire(raw))
            if parts.get(1):
                text = parts.get(3, b"")
                return text.decode() if isinstance(text, bytes) else ""
            return parts.get(2, 0)
    return _message(kind, raw)


def _message(name: str, data: bytes) -> Document:
    fields = _FIELDS[name]
    result: Document = {}
    for number, raw in _wire(data):
        if number not in fields:
            continue
        key, kind = fields[number]
        if kind.startswith("map:") and isinstance(raw, bytes):
            entry = dict(_wire(raw))
            name_raw, value_raw = entry.get(1, b""), entry.get(2, b"")
            if isinstance(name_raw, bytes):
                result.setdefault(key, {})[name_raw.decode()] = _value(kind[4:], value_raw)
        elif kind.startswith("*"):
            result.setdefault(key, []).append(_value(kind[1:], raw))
        else:
            value = _value(kind, raw)
            # plain Go fields are always on the wire; empty ones mean "not set"
            if value not in ("", None) and (value != 0 or isinstance(value, bool) or key == "gracePeriodSeconds"):
                result[key] = value
    return result


def decode(body: bytes) -> Document:
    """Return the object in an envelope as the JSON it stands for; raises 400 or 415."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body is no Kubernetes protobuf envelope")
    try:
        envelope = dict(_wire(body[len(_MAGIC) :]))
        head, raw = envelope.get(1, b""), envelope.get(2, b"")
        if not isinstance(head, bytes) or not isinstance(raw, bytes):
            raise ValueError("the envelope is broken")
        types = dict(_wire(head))
        api_version, kind = types.get(1, b""), types.get(2, b"")
        if not isinstance(api_version, bytes) or not isinstance(kind, bytes):
            raise ValueError("the envelope names no kind")
        name = kind.decode()
        if name not in _FIELDS:
            message = f"this stand-in cannot read a {name} in protobuf, send application/json"
            raise ApiError(415, "UnsupportedMediaType", message, {})
        document = _message(name, raw)
    except (ValueError, UnicodeDecodeError) as error:
        raise bad_request(f"the protobuf body cannot be read: {error}") from None
    return {"apiVersion": api_version.decode(), "kind": name, **document}
