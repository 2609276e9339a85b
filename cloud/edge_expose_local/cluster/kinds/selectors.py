"""Label and field selectors: text in, a predicate out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Document, bad_request
from .label_text import parse

Predicate = Callable[[Document], bool]

_ALWAYS = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on labels. `op` is one of in, notin, exists, absent, gt, lt."""

    key: str
    op: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels satisfy this condition."""
        value = labels.get(self.key)
        match self.op:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
        try:
            number, limit = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return number > limit if self.op == "gt" else number < limit


def label_predicate(text: str, *, paths: bool) -> Predicate | None:
    """Return a predicate over objects, or None when everything matches. `paths`: refusals say where."""
    requirements = [Requirement(found.key, found.op, found.values) for found in parse(text, paths=paths)]
    if not requirements:
        return None
    return lambda obj: all(r.matches(obj.get("metadata", {}).get("labels") or {}) for r in requirements)


def label_selector_matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Evaluate a LabelSelector object (matchLabels, matchExpressions); an empty one matches everything."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    names = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
    for expression in selector.get("matchExpressions") or []:
        op = names.get(expression.get("operator", ""), "absent")
        if not Requirement(expression["key"], op, frozenset(expression.get("values") or [])).matches(labels):
            return False
    return True


def _field(obj: Document, path: str) -> str:
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def field_predicate(text: str, allowed: frozenset[str], *, own: bool) -> Predicate | None:
    """Return a predicate for a field selector; unknown fields are refused as the API server does. `own`: the kind has
    a list of fields of its own, and a refusal in other words."""
    conditions: list[tuple[str, bool, str]] = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = re.match(r"^\s*([^=!]+?)\s*(==|=|!=)\s*(.*)$", part)
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, op, value = found.groups()
        if path not in allowed and path not in _ALWAYS:
            if own:
                raise bad_request(f"field label not supported: {path}")
            known = " ".join([f'"{path}" is not a known field selector:', 'only "metadata.name", "metadata.namespace"'])
            raise bad_request(known)
        conditions.append((path, op != "!=", value))
    if not conditions:
        return None
    return lambda obj: all((_field(obj, path) == value) is equal for path, equal, value in conditions)


def only_name(text: str) -> str:
    """The one name that a field selector admits, which a list or watch is then authorized for; else empty."""
    found = [re.match(r"^\s*metadata\.name\s*==?\s*([^,=!]*?)\s*$", part) for part in text.split(",")]
    names = [match[1] for match in found if match is not None]
    return names[0] if names else ""
