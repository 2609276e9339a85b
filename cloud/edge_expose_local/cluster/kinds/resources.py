"""What the API serves: one `Resource` per plural, and how stored objects differ from served ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import Document
from .profiles import Profile

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_NO_COLLECTION = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
_META_FIELDS = frozenset({"metadata.name", "metadata.namespace"})


def _same(obj: Document) -> Document:
    return obj


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource. `storage` names the shelf its objects lie on (several may share one)."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    storage: str
    verbs: tuple[str, ...] = ALL_VERBS
    short: tuple[str, ...] = ()
    status: bool = False
    scale: bool = False
    empty: bool = False
    """There are none, and none can be made: clients only ask for what there is."""
    custom: bool = False
    """A custom resource: list items carry apiVersion and kind, strategic merge is refused."""
    warning: str = ""
    """What every answer warns of."""
    fields: frozenset[str] = _META_FIELDS
    category_all: bool = False
    served: Callable[[Document], Document] = _same
    """Turns a stored object into the served shape."""
    stored: Callable[[Document], Document] = _same
    """Turns a sent object into the stored shape."""

    @property
    def own_fields(self) -> bool:
        """Field selectors are looked up in a list of this kind's own (else in that of all kinds)."""
        return self.custom or self.fields != _META_FIELDS

    @property
    def api_version(self) -> str:
        """Return apiVersion as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version


def _event_served(obj: Document) -> Document:
    result = dict(obj)
    for old, new in (
        ("message", "note"),
        ("involvedObject", "regarding"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        ("reportingComponent", "reportingController"),
    ):
        if old in result:
            result[new] = result.pop(old)
    return result


def _event_stored(obj: Document) -> Document:
    result = dict(obj)
    for new, old in (
        ("note", "message"),
        ("regarding", "involvedObject"),
        ("deprecatedSource", "source"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("reportingController", "reportingComponent"),
    ):
        if new in result:
            result[old] = result.pop(new)
    return result


_EVENT_FIELDS = _META_FIELDS | {
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
}
_ENDPOINTS_WARNING = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
_RBAC = "rbac.authorization.k8s.io"


def _workload(plural: str, kind: str, short: str) -> Resource:
    more = {"short": (short,), "status": True, "scale": True, "category_all": True}
    return Resource("apps", "v1", plural, kind, True, f"{plural}.apps", **more)  # type: ignore[arg-type]


_READ_VERBS = ("get", "list", "watch")


def _empty(profile: Profile) -> list[Resource]:
    """Kinds that kubectl lists in passing (`cluster-info dump`, `apply --prune`, `get all`)."""
    rows = [
        ("", "v1", "limitranges", "LimitRange", True, "limits"),
        ("", "v1", "resourcequotas", "ResourceQuota", True, "quota"),
        ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, "pvc"),
        ("", "v1", "persistentvolumes", "PersistentVolume", False, "pv"),
        ("", "v1", "replicationcontrollers", "ReplicationController", True, "rc"),
        ("apps", "v1", "daemonsets", "DaemonSet", True, "ds"),
        ("apps", "v1", "statefulsets", "StatefulSet", True, "sts"),
        ("batch", "v1", "jobs", "Job", True, ""),
        ("networking.k8s.io", "v1", "ingresses", "Ingress", True, "ing"),
        ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, "netpol"),
        ("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, "sc"),
        ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, "crd"),
        ("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", True, "hpa"),
    ]
    if profile.modern_service_fields:  # 1.20 has them in another version of the group
        rows.append(("batch", "v1", "cronjobs", "CronJob", True, "cj"))
    return [
        Resource(
            group,
            version,
            plural,
            kind,
            namespaced,
            f"{plural}.{group}" if group else plural,
            verbs=_READ_VERBS,
            short=(short,) if short else (),
            empty=True,
        )
        for group, version, plural, kind, namespaced, short in rows
    ]


def served_resources(profile: Profile) -> list[Resource]:
    """Return every resource of a profile, core group first."""
    service_verbs = ALL_VERBS if profile.service_deletecollection else _NO_COLLECTION

    def core(
        plural: str, kind: str, short: tuple[str, ...] = (), *, namespaced: bool = True, **more: object
    ) -> Resource:
        return Resource("", "v1", plural, kind, namespaced, plural, short=short, **more)  # type: ignore[arg-type]

    pod_fields = _META_FIELDS | {
        "spec.nodeName",
        "spec.restartPolicy",
        "status.phase",
        "status.podIP",
        "spec.serviceAccountName",
    }
    service_fields = _META_FIELDS | ({"spec.clusterIP", "spec.type"} if profile.modern_service_fields else set())
    found = [
        core("configmaps", "ConfigMap", ("cm",)),
        core("endpoints", "Endpoints", ("ep",), warning=_ENDPOINTS_WARNING if profile.modern_service_fields else ""),
        core("events", "Event", ("ev",), fields=_EVENT_FIELDS),
        core(
            "namespaces",
            "Namespace",
            ("ns",),
            namespaced=False,
            status=True,
            fields=_META_FIELDS | {"status.phase"},
            verbs=_NO_COLLECTION,
        ),
        core("nodes", "Node", ("no",), namespaced=False, status=True, fields=_META_FIELDS | {"spec.unschedulable"}),
        core("pods", "Pod", ("po",), status=True, fields=pod_fields, category_all=True),
        core("secrets", "Secret", fields=_META_FIELDS | {"type"}),
        core("serviceaccounts", "ServiceAccount", ("sa",)),
        core(
            "services", "Service", ("svc",), status=True, fields=service_fields, verbs=service_verbs, category_all=True
        ),
        Resource(
            "events.k8s.io",
            "v1",
            "events",
            "Event",
            True,
            "events",
            short=("ev",),
            fields=_EVENT_FIELDS | {"regarding.name", "regarding.kind", "regarding.namespace", "regarding.uid"},
            served=_event_served,
            stored=_event_stored,
        ),
        Resource(
            "discovery.k8s.io",
            profile.slice_version,
            "endpointslices",
            "EndpointSlice",
            True,
            "endpointslices.discovery.k8s.io",
        ),
        _workload("deployments", "Deployment", "deploy"),
        _workload("replicasets", "ReplicaSet", "rs"),
        Resource("coordination.k8s.io", "v1", "leases", "Lease", True, "leases.coordination.k8s.io"),
        Resource(_RBAC, "v1", "clusterroles", "ClusterRole", False, f"clusterroles.{_RBAC}"),
        Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, f"clusterrolebindings.{_RBAC}"),
        Resource(_RBAC, "v1", "roles", "Role", True, f"roles.{_RBAC}"),
        Resource(_RBAC, "v1", "rolebindings", "RoleBinding", True, f"rolebindings.{_RBAC}"),
    ]
    found += _empty(profile)
    if profile.crd_pools:
        for plural, kind in (
            ("configurationstates", "ConfigurationState"),
            ("ipaddresspools", "IPAddressPool"),
            ("l2advertisements", "L2Advertisement"),
        ):
            found.append(
                Resource(
                    "metallb.io",
                    "v1beta1",
                    plural,
                    kind,
                    True,
                    f"{plural}.metallb.io",
                    status=True,
                    custom=True,
                )
            )
    return found


_REVIEWS: dict[tuple[str, str], str] = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authorization.k8s.io", "subjectaccessreviews"): "SubjectAccessReview",
    ("authentication.k8s.io", "tokenreviews"): "TokenReview",
}


def reviews(profile: Profile) -> dict[tuple[str, str], str]:
    """Return the resources that only answer a create and keep nothing: (group, plural) -> kind."""
    own = {("authentication.k8s.io", "selfsubjectreviews"): "SelfSubjectReview"} if profile.self_review else {}
    return _REVIEWS | own
