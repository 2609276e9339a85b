"""The rules of ConfigMaps and Secrets: keys, sizes, what a type of Secret must hold, and what cannot change."""

from __future__ import annotations

import base64
import re

from ..kinds import go_json
from ..kinds.errors import Cause, Document
from ..kinds.field_errors import forbidden, required, wrong
from ..kinds.profiles import Profile

_MOST = 1024 * 1024
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_NO_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_ACCOUNT = "kubernetes.io/service-account.name"
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_JSON = (".dockerconfigjson", ".dockercfg")


def _key_errors(obj: Document, field: str) -> list[Cause]:
    errors: list[Cause] = []
    for key in sorted(obj.get(field) or {}):
        at = f"{field}[{key}]"
        if len(key) > 253:
            errors.append(wrong(at, key, "must be no more than 253 characters"))
        if not _KEY.fullmatch(key):
            errors.append(wrong(at, key, _NO_KEY))
        elif key in (".", ".."):
            errors.append(wrong(at, key, f"must not be '{key}'"))
        elif key.startswith(".."):
            errors.append(wrong(at, key, "must not start with '..'"))
    return errors


def _size(obj: Document, field: str, *, coded: bool) -> int:
    texts = (obj.get(field) or {}).values()
    return sum(len(base64.b64decode(text)) if coded else len(text.encode()) for text in texts)


def _too_large(size: int, field: str, profile: Profile) -> list[Cause]:
    if size <= _MOST:
        return []
    limit = "may not be more than" if profile.strict_fields else "must have at most"
    return [Cause("FieldValueTooLong", f"Too long: {limit} {_MOST} bytes", field)]


def _immutable(obj: Document, old: Document | None) -> list[Cause]:
    why = "field is immutable when `immutable` is set"
    if old is None or not old.get("immutable"):
        return []
    errors = [] if obj.get("immutable") else [forbidden("immutable", why)]
    return errors + [forbidden(f, why) for f in ("data", "binaryData") if obj.get(f) != old.get(f)]


def config_map_errors(obj: Document, old: Document | None, profile: Profile) -> list[Cause]:
    """Check a ConfigMap."""
    errors = _key_errors(obj, "data")
    twice = sorted((obj.get("data") or {}).keys() & (obj.get("binaryData") or {}).keys())
    errors += [wrong(f"data[{key}]", key, "duplicate of key present in binaryData") for key in twice]
    errors += _key_errors(obj, "binaryData")
    size = _size(obj, "data", coded=False) + _size(obj, "binaryData", coded=True)
    return errors + _too_large(size, "[]", profile) + _immutable(obj, old)


def secret_errors(obj: Document, old: Document | None, profile: Profile) -> list[Cause]:
    """Check a Secret."""
    data, kind = obj.get("data") or {}, obj.get("type")
    errors = _key_errors(obj, "data") + _too_large(_size(obj, "data", coded=True), "data", profile)
    at = "data" if profile.strict_fields else "data[%s]"  # an old server shows the slip of a programmer
    if kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            errors += [required(f"{at}[{key}]") for key in ("username", "password")]
    elif kind == "kubernetes.io/service-account-token":
        if not (obj["metadata"].get("annotations") or {}).get(_ACCOUNT):
            errors.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    else:
        at = at if kind == "kubernetes.io/ssh-auth" else "data"
        for key in _NEEDED.get(str(kind), ()):
            if key not in data or (not data[key] and key not in ("tls.crt", "tls.key")):
                errors.append(required(f"{at}[{key}]"))
            elif key in _JSON and (problem := go_json.problem(base64.b64decode(data[key]))):
                errors.append(wrong(f"data[{key}]", "<secret contents redacted>", problem))
    if old is not None and obj.get("type") != old.get("type"):
        errors.append(wrong("type", obj.get("type"), "field is immutable"))
    return errors + _immutable(obj, old)
