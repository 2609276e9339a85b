"""A plan is data: changes that are shown, a digest over them and the etags seen, and one step. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.hub.api import Deployment, Json
from edge_expose_cloud.manifest.encoding import Content
from edge_expose_cloud.manifest.redaction import hide_pairs

# The tag on a device twin while set modules is done on it.
LEASE_TAG = "edgeExposeLease"

Action = Literal["create", "update", "delete"]
Kind = Literal["Service", "ModuleTwin", "Manifest", "Deployment"]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan; `before` and `after` are None where there is nothing, or nothing known."""

    action: Action
    kind: Kind
    namespace: str | None
    name: str
    before: Json | None
    after: Json | None

    def to_json(self) -> Json:
        return {
            "action": self.action,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True, slots=True)
class PatchTwin:
    """Merge patch of our module's desired properties, under the etag seen."""

    device_id: str
    module_id: str
    patch: Json
    etag: str


@dataclass(frozen=True, slots=True)
class SetModules:
    """The whole manifest for one device."""

    device_id: str
    content: Content


@dataclass(frozen=True, slots=True)
class CreateDeployment:
    """New content under a new id; `replaces` is retired once the new one is there."""

    deployment: Deployment
    content: Content
    replaces: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdateDeployment:
    """Same content, other condition, priority, labels or metrics; `replaces` is retired after it."""

    deployment: Deployment
    replaces: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class TidyDeployments:
    """What an apply that was cut short left behind: older deployments to retire, and retired ones too many."""

    name: str
    retire: tuple[Deployment, ...] = ()
    delete: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class PromoteDeployment:
    """A retired deployment gets its condition back, then `replaces` is retired: some deployment targets at any time."""

    deployment: Deployment
    replaces: tuple[Deployment, ...] = ()


Step = PromoteDeployment | PatchTwin | SetModules | CreateDeployment | UpdateDeployment | TidyDeployments


@dataclass(frozen=True, slots=True)
class Danger:
    """Something that needs the option `--allow KIND=COUNT`."""

    kind: str
    count: int
    what: str

    def to_json(self) -> Json:
        return {"kind": self.kind, "count": self.count, "what": self.what}


ImpactKind = Literal[
    "moves",
    "stops",
    "narrows",
    "opens",
    "taken-over",
    "name",
    "hostname",
    "recreated",
    "restarts",
    "expires",
    "document",
    "freed",
    "target",
    "module",
    "port",
    "registry",
    "route",
    "targets",
]


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change means for somebody who uses the device: one sentence, and what it is about.

    `subject` is an exposure, a module, a route or a registry; `address` is where clients connect ("" where that has no
    meaning).
    """

    kind: ImpactKind
    subject: str
    text: str
    address: str = ""

    def to_json(self) -> Json:
        return {"kind": self.kind, "subject": self.subject, "address": self.address or None, "text": self.text}


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a change means, computed once; every door shows it as it stands here.

    `findings` are conflicts with what is on the device, `impact` is what people notice. `etags` are those of everything
    that was read to make the plan; `patches` follow the step. `lease` is what the device twin holds of a run of set
    modules: one that is going on, or one that died.
    """

    target: str
    changes: tuple[Change, ...]
    step: Step | None
    etags: Mapping[str, str] = field(default_factory=dict)
    dangers: tuple[Danger, ...] = ()
    notes: tuple[str, ...] = ()
    patches: tuple[PatchTwin, ...] = ()
    lease: Json | None = None
    findings: tuple[Finding, ...] = ()
    impact: tuple[Impact, ...] = ()

    @property
    def digest(self) -> str:
        """Over what is shown, and the content as the spec writes it, of which some values are not shown.

        Etags are left out: a change that touches nothing of this plan does not make it stale.
        """
        found = [[item.rule, item.severity, item.path, item.message] for item in self.findings]
        body = {"target": self.target, **self._shown(), "findings": found, "content": _content_of(self.step)}
        return hashlib.sha256(canonical(body).encode()).hexdigest()

    def to_json(self) -> Json:
        return {"digest": self.digest, "notes": list(self.notes), **self._shown()}

    def _shown(self) -> Json:
        return {
            "changes": [change.to_json() for change in self.changes],
            "impact": [item.to_json() for item in self.impact],
            "dangers": [danger.to_json() for danger in self.dangers],
            "findings": [item.to_json() for item in self.findings],
        }


def _content_of(step: Step | None) -> Json | None:
    return step.content.planned if isinstance(step, SetModules | CreateDeployment) else None


def with_patches(plan: Plan, patches: Iterable[PatchTwin]) -> Plan:
    """The plan with twin PATCHes to be done after its step, each shown as a change and its etag counted."""
    chosen = tuple(patches)
    shown = [
        Change("update", "ModuleTwin", None, f"{item.device_id}/{item.module_id}", None, item.patch) for item in chosen
    ]
    etags = {**plan.etags, **{f"{item.device_id}/{item.module_id}": item.etag for item in chosen}}
    return replace(plan, changes=in_plan_order([*plan.changes, *shown]), etags=etags, patches=chosen)


def differing(before: Any, after: Any, depth: int = 2) -> tuple[Any, Any]:
    """Both without what they have in common, `depth` levels of keys down: what is shown of a change to a document."""
    if depth == 0 or not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return before, after
    left, right = {}, {}
    for key in sorted(before.keys() | after.keys()):
        if key in before and key in after:
            if before[key] != after[key]:
                left[key], right[key] = differing(before[key], after[key], depth - 1)
        elif key in before:
            left[key] = before[key]
        else:
            right[key] = after[key]
    return left, right


def twin_change(device_id: str, module_id: str, before: Json | None, after: Json) -> Change:
    """The change of one module twin's desired properties, by what differs."""
    name = f"{device_id}/{module_id}"
    if before is None:
        return Change("create", "ModuleTwin", None, name, None, hide_pairs(after))
    left, right = differing(before, after)
    return Change("update", "ModuleTwin", None, name, hide_pairs(left, right), hide_pairs(right))


def canonical(value: Any) -> str:
    """The one text of a JSON value: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def few(names: Sequence[str], between: str = ", ", most: int = 8) -> str:
    """The names, or the first of them and how many more there are."""
    left = len(names) - most
    return between.join(names) if left <= 0 else f"{between.join(names[:most])} and {left} more"


def counted(number: int, noun: str) -> str:
    """`1 module`, `2 modules`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


_RANK = {"Deployment": 0, "Manifest": 1, "ModuleTwin": 2, "Service": 3}


def in_plan_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(
        sorted(changes, key=lambda change: (_RANK[change.kind], change.namespace or "", change.name, change.action))
    )


def diff_services(before: Mapping[tuple[str, str], Json], after: Mapping[tuple[str, str], Json]) -> list[Change]:
    """Service changes by (namespace, name)."""
    changes = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        action: Action = "create" if old is None else "delete" if new is None else "update"
        shown = hide_pairs(old, new), hide_pairs(new)
        changes.append(Change(action, "Service", key[0] or None, key[1], *shown))
    return changes
