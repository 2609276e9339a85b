"""The rules of Deployments and ReplicaSets."""

from __future__ import annotations

import re
from typing import Any

from ..kinds import names
from ..kinds.errors import Cause, Document
from ..kinds.field_errors import Literal, forbidden, required, unsupported, wrong
from ..kinds.profiles import Profile
from ..kinds.selectors import label_selector_matches
from .labels import label_errors, selector_errors, shown_labels, shown_selector
from .pods import pod_errors

_PERCENT = re.compile(r"[0-9]+%")
_NO_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def _is_nothing(value: Any) -> bool:
    return value in (0, "0%")


def _strategy(spec: Document, profile: Profile) -> list[Cause]:
    strategy = spec["strategy"]
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    at = "spec.strategy.rollingUpdate"
    if kind == "Recreate" and rolling is not None:
        return [forbidden(at, "may not be specified when strategy `type` is 'Recreate'")]
    if kind not in ("Recreate", "RollingUpdate"):
        new = f'{{"Type":"{kind}","RollingUpdate":null}}'
        old = f'apps.DeploymentStrategy{{Type:"{kind}", RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}}'
        shown = Literal(new if profile.modern_service_fields else old)
        return [unsupported("spec.strategy", shown, ["Recreate", "RollingUpdate"])]
    if kind != "RollingUpdate":
        return []
    errors = [
        cause
        for field in ("maxUnavailable", "maxSurge")
        for cause in _portion(rolling[field], f"{at}.{field}", profile)
    ]
    if _is_nothing(rolling["maxUnavailable"]) and _is_nothing(rolling["maxSurge"]):
        old = 'intstr.IntOrString{Type:0, IntVal:0, StrVal:""}'
        shown = Literal("0" if profile.modern_service_fields else old)
        errors.append(wrong(f"{at}.maxUnavailable", shown, "may not be 0 when `maxSurge` is 0"))
    return errors


def _portion(value: Any, at: str, profile: Profile) -> list[Cause]:
    """A number of pods, or a share of them."""
    if isinstance(value, int):
        return [] if value >= 0 else [wrong(at, value, "must be greater than or equal to 0")]
    text = str(value)
    old = f'intstr.IntOrString{{Type:1, IntVal:0, StrVal:"{text}"}}'
    shown = text if profile.modern_service_fields else Literal(old)
    if not _PERCENT.fullmatch(text):
        return [wrong(at, shown, _NO_PERCENT)]
    if at.endswith("maxUnavailable") and int(text[:-1]) > 100:
        return [wrong(at, shown, "must not be greater than 100%")]
    return []


def _least(spec: Document, field: str) -> list[Cause]:
    value = spec.get(field) or 0
    return [wrong(f"spec.{field}", value, "must be greater than or equal to 0")] if value < 0 else []


def _times(spec: Document) -> list[Cause]:
    """The rules of a Deployment alone."""
    errors = _least(spec, "minReadySeconds") + _least(spec, "revisionHistoryLimit")
    errors += _least(spec, "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        errors.append(wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return errors


def _template_errors(spec: Document, profile: Profile) -> list[Cause]:
    selector, template = spec.get("selector"), spec["template"]
    meta = template.get("metadata") or {}
    labels, errors = meta.get("labels"), list[Cause]()
    if (selector is None or selector) and not (selector and label_selector_matches(selector, labels or {})):
        why = "`selector` does not match template `labels`"
        errors.append(wrong("spec.template.metadata.labels", shown_labels(labels, profile), why))
    errors += label_errors(labels or {}, "spec.template.labels")
    for key in meta.get("annotations") or {}:
        errors += [wrong("spec.template.annotations", key, why) for why in names.qualified_name(key.lower())]
    errors += pod_errors(template["spec"], "spec.template.spec", profile)
    if (policy := template["spec"].get("restartPolicy")) != "Always":
        errors.append(unsupported("spec.template.spec.restartPolicy", policy, ["Always"]))
    return errors


def workload_errors(obj: Document, old: Document | None, profile: Profile) -> list[Cause]:
    """Check a Deployment or a ReplicaSet."""
    spec, kind = obj["spec"], obj["kind"]
    selector = spec.get("selector")
    errors = _least(spec, "replicas") + (_least(spec, "minReadySeconds") if kind == "ReplicaSet" else [])
    bad = selector_errors(selector or {}, "spec.selector")
    if selector is None:
        errors.append(required("spec.selector"))
    elif bad:
        errors += [*bad, wrong("spec.selector", shown_selector(selector, profile), "invalid label selector")]
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        name = "deployment" if kind == "Deployment" else "replicaset"
        why = f"empty selector is invalid for {name}"
        errors.append(wrong("spec.selector", shown_selector(selector, profile), why))
    if not bad:
        errors += _template_errors(spec, profile)
    if kind == "Deployment":
        errors += _strategy(spec, profile) + _times(spec)
    if old is not None and selector != old["spec"].get("selector"):
        errors.append(wrong("spec.selector", shown_selector(selector or {}, profile), "field is immutable"))
    return errors
