"""Refusals as Kubernetes words them: a Status object with code, reason, message and causes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """One field error. `reason` is a CauseType such as FieldValueInvalid."""

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ApiError(Exception):
    """A request that is answered with a Status of kind Failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Document | None = None,
        *,
        metadata: Document | None = None,
    ) -> None:
        super().__init__(message)
        self.metadata = metadata or {}
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Document:
        """Return the Status object."""
        document: Document = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            document["reason"] = self.reason
        if self.details is not None:
            document["details"] = self.details
        document["code"] = self.code
        return document


class PlainError(Exception):
    """A request that a layer before the API answers, in plain text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def _details(name: str, group: str, plural: str) -> Document:
    details: Document = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    details["kind"] = plural
    return details


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def quote(value: str) -> str:
    """Quote as Go's %q does for the plain text met here."""
    return json.dumps(value, ensure_ascii=False)


def not_found(group: str, plural: str, name: str) -> ApiError:
    """404 for a named object."""
    return ApiError(
        404, "NotFound", f"{_qualified(group, plural)} {quote(name)} not found", _details(name, group, plural)
    )


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """409 for a create of a taken name."""
    message = f"{_qualified(group, plural)} {quote(name)} already exists"
    return ApiError(409, "AlreadyExists", message, _details(name, group, plural))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    """409 for a stale resourceVersion or an unmet precondition."""
    message = f"Operation cannot be fulfilled on {_qualified(group, plural)} {quote(name)}: {why}"
    return ApiError(409, "Conflict", message, _details(name, group, plural))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> ApiError:
    """422 with all field errors of one object."""
    unique: list[Cause] = []
    for cause in causes:
        if cause not in unique:
            unique.append(cause)
    text = str(unique[0]) if len(unique) == 1 else "[" + ", ".join(map(str, unique)) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details = _details(name, group, kind)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in unique]
    return ApiError(422, "Invalid", f"{qualified} {quote(name)} is invalid: {text}", details)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    """403 with the reason after the object's name."""
    subject = _qualified(group, plural) + (f" {quote(name)}" if name else "")
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", _details(name, group, plural))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(what: str = "") -> ApiError:
    """405 for a verb the resource does not have; `what` is a thing that a real server may well do."""
    more = f" ({what}: not served by this stand-in)" if what else ""
    message = f"the server does not allow this method on the requested resource{more}"
    return ApiError(405, "MethodNotAllowed", message, {})


def unknown_path(what: str = "") -> ApiError:
    """404 for a path no resource is served at; `what` is a thing that a real server may well serve."""
    more = f" ({what}: not served by this stand-in)" if what else ""
    return ApiError(404, "NotFound", f"the server could not find the requested resource{more}", {})


def expired(version: int, oldest: int) -> ApiError:
    """410 for a watch that starts before what is remembered."""
    return ApiError(410, "Expired", f"too old resource version: {version} ({oldest})")
