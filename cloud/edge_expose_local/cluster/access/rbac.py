"""Role based access control: users, and what the Role and Binding objects let them do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..kinds.errors import ApiError, Document, forbidden, quote
from ..kinds.profiles import Profile
from ..store.store import Store

GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def service_account_user(namespace: str, name: str, uid: str = "") -> User:
    """Return the user a ServiceAccount acts as."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


@dataclass(frozen=True, slots=True)
class Attributes:
    """One wish: a verb on a resource (`plural` or `plural/subresource`), or on a path."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def refusal(user: User, wish: Attributes) -> ApiError:
    """Return the 403 in the words of the API server."""
    if wish.path:
        message = f"forbidden: User {quote(user.name)} cannot {wish.verb} path {quote(wish.path)}"
        return ApiError(403, "Forbidden", message, {})
    where = f"in the namespace {quote(wish.namespace)}" if wish.namespace else "at the cluster scope"
    why = (
        f"User {quote(user.name)} cannot {wish.verb} resource {quote(wish.resource)} "
        f"in API group {quote(wish.group)} {where}"
    )
    return forbidden(wish.group, wish.resource.split("/", 1)[0], wish.name, why)


def _subject_matches(subject: Document, user: User, namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return bool(name == user.name)
    if kind == "Group":
        return name in user.groups
    if kind == "ServiceAccount":
        return bool(user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}")
    return False


def _has(allowed: list[str] | None, value: str) -> bool:
    return bool(allowed) and ("*" in (allowed or []) or value in (allowed or []))


def _resource_matches(allowed: list[str] | None, resource: str) -> bool:
    if _has(allowed, resource):
        return True
    _, slash, sub = resource.partition("/")
    return bool(slash) and f"*/{sub}" in (allowed or [])


def rule_allows(rule: Document, wish: Attributes) -> bool:
    """Tell whether one PolicyRule grants one wish."""
    if not _has(rule.get("verbs"), wish.verb):
        return False
    if wish.path:
        urls = rule.get("nonResourceURLs") or []
        return any(url in ("*", wish.path) or (url.endswith("*") and wish.path.startswith(url[:-1])) for url in urls)
    names = rule.get("resourceNames") or []
    return (
        _has(rule.get("apiGroups"), wish.group)
        and _resource_matches(rule.get("resources"), wish.resource)
        and (not names or wish.name in names)
    )


class Authorizer:
    """Evaluates the objects in the store; nothing is cached, a changed Role counts at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rules(self, user: User, namespace: str) -> Iterator[Document]:
        """Return the rules that hold for a user cluster-wide and in a namespace."""
        if "system:masters" in user.groups:
            yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            yield {"verbs": ["*"], "nonResourceURLs": ["*"]}
        for binding in self._store.all(f"clusterrolebindings.{GROUP}"):
            yield from self._bound(binding, user, "")
        if namespace:
            for binding in self._store.all(f"rolebindings.{GROUP}", namespace):
                yield from self._bound(binding, user, namespace)

    def allowed(self, user: User, wish: Attributes) -> bool:
        """Decide one wish."""
        return any(rule_allows(rule, wish) for rule in self.rules(user, wish.namespace))

    def _bound(self, binding: Document, user: User, namespace: str) -> list[Document]:
        if not any(_subject_matches(s, user, namespace) for s in binding.get("subjects") or []):
            return []
        reference = binding.get("roleRef", {})
        if reference.get("kind") == "Role":
            role = self._store.get(f"roles.{GROUP}", namespace, reference.get("name", ""))
        else:
            role = self._store.get(f"clusterroles.{GROUP}", "", reference.get("name", ""))
        return (role or {}).get("rules") or []


def bootstrap_roles(profile: Profile) -> list[tuple[str, Document]]:
    """Return (storage, object) of the roles every cluster has."""

    def role(name: str, *rules: Document) -> tuple[str, Document]:
        labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
        return f"clusterroles.{GROUP}", {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels},
            "rules": list(rules),
        }

    def binding(name: str, *groups: str) -> tuple[str, Document]:
        return f"clusterrolebindings.{GROUP}", {
            "apiVersion": f"{GROUP}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
        }

    def rule(verbs: list[str], groups: list[str], resources: list[str]) -> Document:
        return {"verbs": verbs, "apiGroups": groups, "resources": resources}

    read = ["get", "list", "watch"]
    write = ["create", "delete", "deletecollection", "patch", "update"]
    plain = ["configmaps", "endpoints", "pods", "serviceaccounts", "services"]
    seen = [*plain, "events", "namespaces", "pods/log", "pods/status", "services/status"]
    slices = ["discovery.k8s.io"]
    workloads = ["deployments", "deployments/scale", "replicasets", "replicasets/scale"]
    reviews = ["authorization.k8s.io"]
    public = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
    discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
    view = [
        rule(read, [""], seen),
        rule(read, slices, ["endpointslices"]),
        rule(read, ["apps"], [*workloads, "deployments/status", "replicasets/status"]),
    ]
    edit = [
        *view,
        rule(read, [""], ["secrets"]),
        rule(write, [""], [*plain, "secrets"]),
        rule(["impersonate"], [""], ["serviceaccounts"]),
        rule(["create"], [""], ["serviceaccounts/token"]),
        rule(write, slices, ["endpointslices"]),
        rule(write, ["apps"], workloads),
        rule(["create", "get"], [""], ["pods/portforward"]),
    ]
    admin = [
        *edit,
        rule([*read, *write], [GROUP], ["roles", "rolebindings"]),
        rule(["create"], reviews, ["localsubjectaccessreviews"]),
    ]
    own = [rule(["create"], reviews, ["selfsubjectaccessreviews", "selfsubjectrulesreviews"])]
    if profile.self_review:
        own.append(rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]))
    return [
        role("cluster-admin", rule(["*"], ["*"], ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]}),
        role("admin", *admin),
        role("edit", *edit),
        role("view", *view),
        role("system:basic-user", *own),
        role("system:discovery", {"verbs": ["get"], "nonResourceURLs": [*discovery, *public]}),
        role("system:public-info-viewer", {"verbs": ["get"], "nonResourceURLs": public}),
        binding("cluster-admin", "system:masters"),
        binding("system:basic-user", "system:authenticated"),
        binding("system:discovery", "system:authenticated"),
        binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
    ]
