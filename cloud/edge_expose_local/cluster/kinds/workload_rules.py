"""The rules of Deployments and ReplicaSets."""

from __future__ import annotations

import json
from typing import Any

from .errors import Cause, Document
from .field_errors import Literal, forbidden, required, unsupported, wrong
from .pod_rules import pod_errors
from .profiles import Profile
from .selectors import label_selector_matches


def _labels(value: Any, profile: Profile) -> Literal:
    if profile.modern_service_fields:
        return Literal(json.dumps(value, separators=(",", ":")))
    if value is None:
        return Literal("map[string]string(nil)")
    return Literal("map[string]string{" + ", ".join(f'"{k}":"{v}"' for k, v in sorted(value.items())) + "}")


def _selector(value: Document, profile: Profile) -> Literal:
    if profile.modern_service_fields:
        return Literal(json.dumps(value, separators=(",", ":")))
    expressions = "[]v1.LabelSelectorRequirement(nil)"
    labels = _labels(value.get("matchLabels"), profile)
    return Literal(f"v1.LabelSelector{{MatchLabels:{labels}, MatchExpressions:{expressions}}}")


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
    if kind == "RollingUpdate" and _is_nothing(rolling["maxUnavailable"]) and _is_nothing(rolling["maxSurge"]):
        old = 'intstr.IntOrString{Type:0, IntVal:0, StrVal:""}'
        shown = Literal("0" if profile.modern_service_fields else old)
        return [wrong(f"{at}.maxUnavailable", shown, "may not be 0 when `maxSurge` is 0")]
    return []


def workload_errors(obj: Document, old: Document | None, profile: Profile) -> list[Cause]:
    """Check a Deployment or a ReplicaSet."""
    spec, kind = obj["spec"], obj["kind"]
    selector, template = spec.get("selector"), spec["template"]
    errors: list[Cause] = []
    if spec["replicas"] < 0:
        errors.append(wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    if selector is None:
        errors.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        name = "deployment" if kind == "Deployment" else "replicaset"
        errors.append(wrong("spec.selector", _selector(selector, profile), f"empty selector is invalid for {name}"))
    labels = (template.get("metadata") or {}).get("labels")
    if (selector is None or selector) and not (selector and label_selector_matches(selector, labels or {})):
        why = "`selector` does not match template `labels`"
        errors.append(wrong("spec.template.metadata.labels", _labels(labels, profile), why))
    errors += pod_errors(template["spec"], "spec.template.spec", profile)
    if (policy := template["spec"].get("restartPolicy")) in ("OnFailure", "Never"):
        errors.append(unsupported("spec.template.spec.restartPolicy", policy, ["Always"]))
    if kind == "Deployment":
        errors += _strategy(spec, profile)
    if old is not None and selector != old["spec"].get("selector"):
        errors.append(wrong("spec.selector", _selector(selector or {}, profile), "field is immutable"))
    return errors
