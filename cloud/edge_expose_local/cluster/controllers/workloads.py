"""What the controllers of ReplicaSets and Deployments share: owners, readiness and counts of pods."""

from __future__ import annotations

from ..kinds.errors import Document
from .endpoints import pod_ready


def owner_of(obj: Document) -> Document | None:
    """The reference to the controller of an object."""
    for owner in obj["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return dict(owner)
    return None


def owned_by(objects: list[Document], owner: Document) -> list[Document]:
    """Those that are controlled by an owner."""
    uid = owner["metadata"]["uid"]
    return [obj for obj in objects if (owner_of(obj) or {}).get("uid") == uid]


def reference(owner: Document) -> Document:
    """How an owner is referred to by what it controls."""
    return {
        "apiVersion": "apps/v1",
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_active(pod: Document) -> bool:
    """Tell whether a pod counts: it has not ended and is not leaving."""
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not ended and "deletionTimestamp" not in pod["metadata"]


def ready(pods: list[Document]) -> int:
    """How many are ready."""
    return sum(1 for pod in pods if pod_ready(pod))


def leaving(obj: Document) -> bool:
    """Tell whether an object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]
