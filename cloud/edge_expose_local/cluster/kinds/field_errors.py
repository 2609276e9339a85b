"""Field errors, as the API server words them."""

from __future__ import annotations

import json
from typing import Any

from .errors import Cause
from .profiles import Profile


class Literal(str):
    """A text that a field error shows as it stands."""

    __slots__ = ()


def many(values: list[str], profile: Profile) -> Any:
    """A list as a field error shows it: as JSON in new versions, as a Go value in old ones."""
    return Literal(json.dumps(values, separators=(",", ":"))) if profile.modern_service_fields else values


def shown(value: Any) -> str:
    """Show a value as a field error does: text quoted, lists as Go writes them."""
    if isinstance(value, Literal):
        return str(value)
    if isinstance(value, list):
        return "[]string{" + ", ".join(json.dumps(item) for item in value) + "}"
    return json.dumps(value, ensure_ascii=False)


def wrong(field: str, value: Any, why: str) -> Cause:
    """Return an Invalid value error."""
    return Cause("FieldValueInvalid", f"Invalid value: {shown(value)}: {why}", field)


def required(field: str, why: str = "") -> Cause:
    """Return a Required value error."""
    return Cause("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def forbidden(field: str, why: str) -> Cause:
    """Return a Forbidden error."""
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def duplicate(field: str, value: Any) -> Cause:
    """Return a Duplicate value error."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {shown(value)}", field)


def unsupported(field: str, value: Any, supported: list[str]) -> Cause:
    """Return an Unsupported value error."""
    listed = ", ".join(json.dumps(item) for item in sorted(supported))
    return Cause("FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}", field)


def unsupported_in_order(field: str, value: Any, supported: list[str]) -> Cause:
    """The same where the API server keeps the order of a list that was written by hand."""
    listed = ", ".join(json.dumps(item) for item in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {listed}", field)
