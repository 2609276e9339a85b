"""The rules of roles and of their bindings."""

from __future__ import annotations

from ..kinds.errors import Cause, Document
from ..kinds.field_errors import many, required, unsupported_in_order, wrong
from ..kinds.profiles import Profile

_GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = {"ServiceAccount": "", "User": _GROUP, "Group": _GROUP}


def role_errors(obj: Document, profile: Profile) -> list[Cause]:
    """Check a Role or a ClusterRole."""
    errors: list[Cause] = []
    for i, rule in enumerate(obj.get("rules") or []):
        at = f"rules[{i}]"
        urls = rule.get("nonResourceURLs") or []
        if not rule.get("verbs"):
            errors.append(required(f"{at}.verbs", "verbs must contain at least one value"))
        if urls:
            shown = many(urls, profile)
            if obj["kind"] == "Role":
                why = "namespaced rules cannot apply to non-resource URLs"
                errors.append(wrong(f"{at}.nonResourceURLs", shown, why))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(wrong(f"{at}.nonResourceURLs", shown, why))
            continue
        if not rule.get("apiGroups"):
            errors.append(required(f"{at}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            errors.append(required(f"{at}.resources", "resource rules must supply at least one resource"))
    return errors


def binding_errors(obj: Document, old: Document | None) -> list[Cause]:
    """Check a RoleBinding or a ClusterRoleBinding."""
    role = obj.get("roleRef") or {}
    errors: list[Cause] = []
    if role.get("apiGroup") != _GROUP:
        errors.append(unsupported_in_order("roleRef.apiGroup", role.get("apiGroup", ""), [_GROUP]))
    kinds = ["Role", "ClusterRole"] if obj["kind"] == "RoleBinding" else ["ClusterRole"]
    if role.get("kind") not in kinds:
        errors.append(unsupported_in_order("roleRef.kind", role.get("kind", ""), kinds))
    if not role.get("name"):
        errors.append(required("roleRef.name"))
    for i, subject in enumerate(obj.get("subjects") or []):
        errors += _subject_errors(subject, f"subjects[{i}]")
    if old is not None and role != old.get("roleRef"):
        errors.append(wrong("roleRef", obj.get("roleRef"), "cannot change roleRef"))
    return errors


def _subject_errors(subject: Document, at: str) -> list[Cause]:
    errors: list[Cause] = [] if subject.get("name") else [required(f"{at}.name")]
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        return [*errors, unsupported_in_order(f"{at}.kind", kind, list(_SUBJECTS))]
    if (group := subject.get("apiGroup") or "") != _SUBJECTS[kind]:
        errors.append(unsupported_in_order(f"{at}.apiGroup", group, [_SUBJECTS[kind]]))
    return errors
