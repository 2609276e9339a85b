"""A plan in words for people, the same for the table, the pull request comment and the portal's page. Pure.

What people read names things as they know them; paths of fields and annotations stand in the details alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.plan.model import Change, Plan, differing
from edge_expose_cloud.plan.port_text import ports_of_service
from edge_expose_cloud.plan.service_forecast import addresses_asked

SHORT: Final = 200
FEW: Final = 6
MARKS: Final[Mapping[str, str]] = {"create": "+", "update": "~", "delete": "−"}
_KINDS: Final = {"ModuleTwin": "Module twin", "Manifest": "Manifest", "Deployment": "Deployment", "Service": "Service"}
_FIELDS: Final = {
    "spec.loadBalancerIP": "external address",
    "spec.type": "type",
    "spec.selector": "pods",
    "spec.loadBalancerSourceRanges": "clients that may connect",
    "spec.sessionAffinity": "session affinity",
    "spec.externalTrafficPolicy": "external traffic policy",
    "targetCondition": "target condition",
    "priority": "priority",
}
_NOTHING: Final = {"spec.loadBalancerSourceRanges": "everyone"}
_SECTIONS: Final = {
    "site": "ranges",
    "schemaVersion": "schema version",
    "confirmRemoval": "confirmation of a removal",
    "routes": "routes",
    "modules": "modules",
    "systemModules": "system modules",
    "runtime": "runtime and registries",
}
_NAMED: Final = frozenset({"exposures", "routes", "modules", "systemModules"})


@dataclass(frozen=True, slots=True)
class Line:
    """One change: `what` is its kind and name, `says` a sentence.

    `details` are (field, before, after), "" for nothing.
    """

    action: str
    kind: str
    name: str
    says: str
    details: tuple[tuple[str, str, str], ...]

    @property
    def what(self) -> str:
        return f"{self.kind} {self.name}"


def lines_of(plan: Plan) -> list[Line]:
    """Services first: they are what people asked for; the twin is how it is done."""
    changes = sorted(plan.changes, key=lambda change: change.kind != "Service")
    return [_line(change) for change in changes]


def _line(change: Change) -> Line:
    name = f"{change.namespace}/{change.name}" if change.namespace else change.name
    return Line(change.action, _KINDS[change.kind], name, _sentence(change), _details(change))


def _sentence(change: Change) -> str:
    if change.kind == "Service":
        return _service_sentence(change)
    if change.action == "delete":
        return "is removed"
    if change.kind == "Deployment":
        return _deployment_sentence(change)
    parts = list(_sections(change)) if change.kind == "ModuleTwin" else list(_manifest(change))
    return f"{'is written' if change.action == 'update' else 'is new'}: {', '.join(parts) or 'its text'}"


def _service_sentence(change: Change) -> str:
    if change.action == "create":
        return f"is created: {service_text(change.after or {})}"
    if change.action == "delete":
        return f"is removed: {service_text(change.before or {})}"
    before, after = change.before or {}, change.after or {}
    then, next_ = ports_of_service(before), ports_of_service(after)
    ports = [f"ports {then} → {next_}"] if then != next_ else []
    known = [
        f"{_FIELDS[field]} {old or _NOTHING.get(field, 'none')} → {new or _NOTHING.get(field, 'none')}"
        for field, old, new in differences(before, after)
        if field in _FIELDS
    ]
    return f"changes: {', '.join([*ports, *known]) or 'selector, labels or annotations'}"


def service_text(service: Json) -> str:
    """`reachable from outside, 8080→80/tcp, at 10.0.0.1`."""
    spec = service.get("spec", {})
    parts = ["reachable from outside" if spec.get("type") == "LoadBalancer" else "inside the cluster"]
    if ports := ports_of_service(service):
        parts.append(ports)
    if spec.get("type") == "LoadBalancer":
        parts.append(f"at {addresses_asked(service) or 'an address that the device chooses'}")
    return ", ".join(parts)


def _deployment_sentence(change: Change) -> str:
    before, after = change.before or {}, change.after or {}
    if change.action == "create":
        return f"is created: priority {after.get('priority')}, for devices where {after.get('targetCondition')}"
    if after.get("retired") and not before.get("retired"):
        return "is retired, and kept for rollback"
    if before.get("retired") and not after.get("retired"):
        return f"is promoted again: for devices where {after.get('targetCondition')}"
    known = [f"{_FIELDS[field]} {old} → {new}" for field, old, new in differences(before, after) if field in _FIELDS]
    return f"changes: {', '.join(known) or 'its labels'}"


def _sections(change: Change) -> Iterator[str]:
    """`exposures web, db` and `ranges`: what of a module's document changes."""
    left, right = differing(change.before or {}, change.after or {})
    for key in sorted({*left, *right}, key=lambda one: (one != "exposures", one)):
        names = sorted({*_keys(left.get(key)), *_keys(right.get(key))}) if key in _NAMED else []
        word = _SECTIONS.get(key, key)
        yield f"{word} {_few(names)}" if names else word


def _manifest(change: Change) -> Iterator[str]:
    before, after = change.before or {}, change.after or {}
    for twin in sorted({*before, *after}):
        old, new = before.get(twin), after.get(twin)
        if twin in ("$edgeAgent", "$edgeHub"):
            parts = Change("update", "ModuleTwin", None, twin, old or {}, new or {})
            yield from _sections(parts)
        elif old != new or old is None:
            yield f"desired properties of {twin}"


def _few(names: list[str]) -> str:
    left = len(names) - FEW
    return ", ".join(names) if left <= 0 else f"{', '.join(names[:FEW])}, and {left} more"


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, Mapping) else []


def _details(change: Change) -> tuple[tuple[str, str, str], ...]:
    if change.before is None or change.after is None:
        return ()
    return tuple((_FIELDS.get(field, field), old, new) for field, old, new in differences(change.before, change.after))


def differences(before: Any, after: Any, path: str = "") -> list[tuple[str, str, str]]:
    """(path, before, after) of what differs, whole: a text that is cut would hide the very difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted(before.keys() | after.keys()):
            found += differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return found
    if before == after or path.startswith("metadata.labels"):
        return []
    return [(path or "all of it", *_either(before, after))]


def _either(before: Any, after: Any) -> tuple[str, str]:
    """Both in words; long lists without what both hold, which is only counted."""
    texts = text_of(before), text_of(after)
    if not isinstance(before, list) or not isinstance(after, list) or max(map(len, texts)) <= SHORT:
        return texts
    same = [item for item in before if item in after]
    left = [item for item in before if item not in same], [item for item in after if item not in same]
    if not any(left):
        return texts  # only their order differs
    rest = [f"and {len(same)} more that stay"] if same else []
    return text_of([*left[0], *rest]), text_of([*left[1], *rest])


def text_of(value: Any) -> str:
    """A JSON value as a person would write it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{key}: {text_of(item)}" for key, item in value.items())
        case list():
            return ", ".join(text_of(item) for item in value)
        case _:
            return str(value)


def short_text_of(value: Any) -> str:
    """The same, cut: for what is only shown, never for what is compared."""
    text = text_of(value)
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def markdown_of(plan: Plan) -> str:
    """A comment for a pull request: what changes, what people notice, what needs --allow; details folded."""
    parts = [f"### edge-expose: plan for {_plain(plan.target)}", ""]
    lines = lines_of(plan)
    parts += [f"- `{MARKS[line.action]}` **{_plain(line.what)}** {_plain(line.says)}" for line in lines]
    if not lines:
        parts.append("Nothing changes.")
    parts += _list("What people notice", [item.text for item in plan.impact])
    parts += _list("Findings", [f"{item.severity}: {item.message} ({item.rule})" for item in plan.findings])
    parts += _list("Notes", plan.notes)
    words = [f"{danger.what}: apply with `--allow {danger.kind}={danger.count}`" for danger in plan.dangers]
    parts += ["", "#### Needs --allow", "", *(f"- {_plain(word, '`')}" for word in words)] if words else []
    rows = [(line.what, *detail) for line in lines for detail in line.details]
    if rows:
        parts += [
            "",
            "<details><summary>Details</summary>",
            "",
            "| What | Field | Now | Then |",
            "| --- | --- | --- | --- |",
        ]
        parts += [f"| {' | '.join(_plain(cell) or '–' for cell in row)} |" for row in rows]
        parts += ["", "</details>"]
    if lines:
        parts += [
            "",
            f"Digest `{plan.digest}`: `edge-expose apply FILE --expect {plan.digest[:16]}` does exactly this.",
        ]
    return "\n".join(parts) + "\n"


def _list(title: str, texts: Any) -> list[str]:
    return ["", f"#### {title}", "", *(f"- {_plain(text)}" for text in texts)] if texts else []


def _plain(text: str, kept: str = "") -> str:
    """Text from outside that Markdown shows as it is, in one line."""
    special = "".join(sign for sign in "\\`*_{}[]<>|#~" if sign not in kept)
    return re.sub(f"([{re.escape(special)}])", r"\\\1", " ".join(text.split()))
