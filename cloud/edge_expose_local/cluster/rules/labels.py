"""The rules of labels and of label selectors in objects, and how refusals show them."""

from __future__ import annotations

import json
from typing import Any

from ..kinds import names
from ..kinds.errors import Cause, Document
from ..kinds.field_errors import Literal, forbidden, required, wrong
from ..kinds.profiles import Profile

_WITH_VALUES, _WITHOUT = ("In", "NotIn"), ("Exists", "DoesNotExist")


def label_errors(labels: Document, field: str) -> list[Cause]:
    """Check a map of labels."""
    errors: list[Cause] = []
    for key, value in labels.items():
        errors += [wrong(field, key, why) for why in names.qualified_name(key)]
        errors += [wrong(field, value, why) for why in names.label_value(value)]
    return errors


def selector_errors(selector: Document, at: str) -> list[Cause]:
    """Check a label selector."""
    errors = label_errors(selector.get("matchLabels") or {}, f"{at}.matchLabels")
    for i, expression in enumerate(selector.get("matchExpressions") or []):
        here, operator, values = f"{at}.matchExpressions[{i}]", expression.get("operator", ""), expression.get("values")
        if operator in _WITH_VALUES:
            if not values:
                errors.append(required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in _WITHOUT:
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden(f"{here}.values", why))
        else:
            errors.append(wrong(f"{here}.operator", operator, "not a valid selector operator"))
        key = expression.get("key", "")
        errors += [wrong(f"{here}.key", key, why) for why in names.qualified_name(key)]
    return errors


def shown_labels(value: Any, profile: Profile) -> Literal:
    """A map of labels: as JSON in new versions, as a Go value in old ones."""
    if profile.modern_service_fields:
        return Literal(json.dumps(value, separators=(",", ":")))
    if value is None:
        return Literal("map[string]string(nil)")
    return Literal("map[string]string{" + ", ".join(f'"{k}":"{v}"' for k, v in sorted(value.items())) + "}")


def shown_selector(value: Document, profile: Profile) -> Literal:
    """A label selector in the same manner."""
    if profile.modern_service_fields:
        return Literal(json.dumps(value, separators=(",", ":")))
    kind = "v1.LabelSelectorRequirement"
    told = [f"{kind}{{{_expression(expression)}}}" for expression in value.get("matchExpressions") or []]
    expressions = f"[]{kind}{{{', '.join(told)}}}" if told else f"[]{kind}(nil)"
    labels = shown_labels(value.get("matchLabels"), profile)
    return Literal(f"v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:{expressions}}}")


def _expression(value: Document) -> str:
    listed = ", ".join(json.dumps(one) for one in value.get("values") or [])
    values = f"[]string{{{listed}}}" if listed else "[]string(nil)"
    key, operator = json.dumps(value.get("key", "")), json.dumps(value.get("operator", ""))
    return f"Key:{key}, Operator:{operator}, Values:{values}"
