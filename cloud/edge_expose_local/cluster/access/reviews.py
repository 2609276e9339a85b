"""Reviews: questions a client may ask about rights and tokens. They are answered, not stored."""

from __future__ import annotations

from ..kinds.errors import Document
from .rbac import Attributes, Authorizer, User
from .tokens import Tokens


def _attributes(spec: Document) -> Attributes:
    resource = spec.get("resourceAttributes")
    if resource is None:
        path = spec.get("nonResourceAttributes") or {}
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    sub = resource.get("subresource", "")
    plural = resource.get("resource", "") + (f"/{sub}" if sub else "")
    return Attributes(
        resource.get("verb", ""),
        resource.get("group", ""),
        plural,
        resource.get("namespace", ""),
        resource.get("name", ""),
    )


def _user(user: User) -> Document:
    found: Document = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        found["uid"] = user.uid
    if user.extra:
        found["extra"] = {key: list(values) for key, values in sorted(user.extra)}
    return found


def review(kind: str, group: str, body: Document, user: User, authorizer: Authorizer, tokens: Tokens) -> Document:
    """Answer one review."""
    spec = body.get("spec") or {}
    answer: Document = {
        "kind": kind,
        "apiVersion": f"{group}/v1",
        "metadata": {"creationTimestamp": None},
        "spec": spec,
    }
    match kind:
        case "SelfSubjectAccessReview":
            answer["status"] = {"allowed": authorizer.allowed(user, _attributes(spec))}
        case "SubjectAccessReview":
            other = User(spec.get("user", ""), tuple(spec.get("groups") or []))
            answer["status"] = {"allowed": authorizer.allowed(other, _attributes(spec))}
        case "SelfSubjectRulesReview":
            resources, paths = [], []
            for rule in authorizer.rules(user, spec.get("namespace", "")):
                if rule.get("nonResourceURLs"):
                    paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
                else:
                    resources.append({k: v for k, v in rule.items() if v})
            answer["status"] = {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}
        case "TokenReview":
            found = tokens.check(str(spec.get("token", "")))
            answer["status"] = {"authenticated": True, "user": _user(found)} if found else {"authenticated": False}
        case "SelfSubjectReview":
            answer["status"] = {"userInfo": _user(user)}
    return answer
