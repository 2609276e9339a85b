"""Deployments: one ReplicaSet per template, and the change from one template to the next, a few pods at a time."""

from __future__ import annotations

import copy
import hashlib
import json

from ..kinds.errors import Document
from ..objects.prepare import now
from ..objects.recorder import Recorder
from ..objects.registry import Registry
from .workloads import leaving, owned_by, reference

WATCHED = frozenset({"deployments.apps", "replicasets.apps", "pods"})
_ANNOTATION = "deployment.kubernetes.io/"
REVISION = f"{_ANNOTATION}revision"
_HASH = "pod-template-hash"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def _hash(template: Document) -> str:
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])


def _plain(template: Document) -> Document:
    """A template without the label that tells it from others."""
    result = copy.deepcopy(template)
    labels = (result.get("metadata") or {}).get("labels") or {}
    labels.pop(_HASH, None)
    return result


def _revision(found: Document) -> int:
    text = (found["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _sizes(found: Document) -> dict[str, str]:
    """What a ReplicaSet is told of the size of its Deployment."""
    wanted, strategy = found["spec"]["replicas"], found["spec"]["strategy"]
    surge = _share((strategy.get("rollingUpdate") or {}).get("maxSurge", 0), wanted, up=True)
    return {f"{_ANNOTATION}desired-replicas": str(wanted), f"{_ANNOTATION}max-replicas": str(wanted + surge)}


def _share(value: int | str, of: int, *, up: bool) -> int:
    """A number, or so many per cent."""
    if isinstance(value, int):
        return value
    part = int(value.rstrip("%") or 0) * of
    return -(-part // 100) if up else part // 100


class DeploymentController:
    """Scales the ReplicaSets of Deployments."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store
        self._deployments = registry.resource("deployments", "apps")
        self._sets = registry.resource("replicasets", "apps")
        self._recorder = Recorder(registry.store, "deployment-controller")
        self._tells_from = registry.profile.modern_service_fields

    def work(self) -> None:
        """One pass over all Deployments."""
        for found in self._store.all(self._deployments.storage):
            if not leaving(found):
                self._one(found)

    def _one(self, found: Document) -> None:
        namespace, spec = found["metadata"]["namespace"], found["spec"]
        owned = owned_by(self._store.all(self._sets.storage, namespace), found)
        template = _plain(spec["template"])
        new = next((one for one in owned if _plain(one["spec"]["template"]) == template), None)
        old = [one for one in owned if one is not new]
        if not spec.get("paused"):
            new = self._current(found, new, old)
            found = self._noted(found, new)
            if spec["strategy"]["type"] == "Recreate":
                self._recreate(found, new, old)
            else:
                self._roll(found, new, old)
            self._forget(found, old)
        elif new is not None and not any(one["spec"]["replicas"] for one in old):
            self._scale(found, new, spec["replicas"])
        self._report(found)

    def _current(self, found: Document, new: Document | None, old: list[Document]) -> Document:
        """The ReplicaSet of the template: made when there is none, and always of the latest revision."""
        meta = found["metadata"]
        latest = max((_revision(one) for one in old), default=0)
        if new is None:
            code = _hash(found["spec"]["template"])
            template = _plain(found["spec"]["template"])
            labels = template.setdefault("metadata", {}).setdefault("labels", {})
            labels[_HASH] = code
            selector = copy.deepcopy(found["spec"]["selector"])
            selector.setdefault("matchLabels", {})[_HASH] = code
            owned: Document = {
                "name": f"{meta['name']}-{code}",
                "labels": dict(labels),
                "annotations": {REVISION: str(latest + 1), **_sizes(found)},
                "ownerReferences": [reference(found)],
            }
            spec = {"replicas": 0, "selector": selector, "template": template}
            new = self._registry.create(self._sets, meta["namespace"], {"metadata": owned, "spec": spec})
        elif _revision(new) <= latest:
            notes = {**(new["metadata"].get("annotations") or {}), REVISION: str(latest + 1)}
            new = self._update(new, {**new, "metadata": {**new["metadata"], "annotations": notes}})
        return new

    def _noted(self, found: Document, new: Document) -> Document:
        """The Deployment with the revision it is at."""
        meta, revision = found["metadata"], str(_revision(new))
        notes = meta.get("annotations") or {}
        if notes.get(REVISION) == revision:
            return found
        changed = {**meta, "annotations": {**notes, REVISION: revision}}
        return self._store.put(self._deployments.storage, {**found, "metadata": changed})

    def _update(self, one: Document, changed: Document) -> Document:
        meta = one["metadata"]
        return self._registry.update(self._sets, meta["namespace"], meta["name"], changed)[0]

    def _scale(self, found: Document, one: Document, wanted: int) -> int:
        """Scale one ReplicaSet; returns by how much."""
        before = int(one["spec"]["replicas"])
        meta = one["metadata"]
        notes = {**(meta.get("annotations") or {}), **_sizes(found)}
        if before == wanted and (wanted == 0 or notes == meta.get("annotations")):
            return 0
        changed = {**meta, "annotations": notes}
        self._update(one, {**one, "metadata": changed, "spec": {**one["spec"], "replicas": wanted}})
        if before == wanted:
            return 0
        way = "up" if wanted > before else "down"
        since = f" from {before}" if self._tells_from else ""
        message = f"Scaled {way} replica set {one['metadata']['name']}{since} to {wanted}"
        self._recorder.event(found, "Normal", "ScalingReplicaSet", message)
        return wanted - before

    def _recreate(self, found: Document, new: Document, old: list[Document]) -> None:
        for one in old:
            self._scale(found, one, 0)
        pods = self._store.all("pods", found["metadata"]["namespace"])
        if not any(owned_by(pods, one) for one in old):
            self._scale(found, new, found["spec"]["replicas"])

    def _roll(self, found: Document, new: Document, old: list[Document]) -> None:
        wanted, rolling = found["spec"]["replicas"], found["spec"]["strategy"].get("rollingUpdate") or {}
        surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
        missing = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
        if not surge and not missing:
            missing = 1
        total = sum(int(one["spec"]["replicas"]) for one in (new, *old))
        size = int(new["spec"]["replicas"])
        if size > wanted:
            self._scale(found, new, wanted)
        elif size < wanted and (more := min(wanted - size, wanted + surge - total)) > 0:
            self._scale(found, new, size + more)
            return
        available = {
            one["metadata"]["uid"]: int(one.get("status", {}).get("availableReplicas", 0)) for one in (new, *old)
        }
        least = max(0, wanted - missing)
        lame = max(0, size - available[new["metadata"]["uid"]])
        may_go = total - least - lame
        for one in sorted(old, key=lambda o: str(o["metadata"].get("creationTimestamp"))):
            dead = int(one["spec"]["replicas"]) - available[one["metadata"]["uid"]]
            if dead > 0 and may_go > 0:
                step = min(dead, may_go)
                self._scale(found, one, int(one["spec"]["replicas"]) - step)
                may_go -= step
                return  # what is left is counted again in the next pass
        may_go = min(may_go, sum(available.values()) - least)
        for one in sorted(old, key=lambda o: str(o["metadata"].get("creationTimestamp"))):
            if (step := min(int(one["spec"]["replicas"]), may_go)) > 0:
                self._scale(found, one, int(one["spec"]["replicas"]) - step)
                may_go -= step

    def _forget(self, found: Document, old: list[Document]) -> None:
        """Delete ReplicaSets that nobody will go back to."""
        limit = found["spec"].get("revisionHistoryLimit", 10)
        empty = [
            one
            for one in old
            if not one["spec"]["replicas"] and not one.get("status", {}).get("replicas") and not leaving(one)
        ]
        for one in sorted(empty, key=_revision)[: max(0, len(empty) - limit)]:
            meta = one["metadata"]
            self._registry.delete(self._sets, meta["namespace"], meta["name"], {})

    def _report(self, found: Document) -> None:
        meta, spec = found["metadata"], found["spec"]
        owned = owned_by(self._store.all(self._sets.storage, meta["namespace"]), found)
        template = _plain(spec["template"])
        wanted = spec["replicas"]

        def total(count: str, *, new: bool = False) -> int:
            chosen = [o for o in owned if not new or _plain(o["spec"]["template"]) == template]
            return sum(int(one.get("status", {}).get(count, 0)) for one in chosen)

        counts = {
            "replicas": total("replicas"),
            "updatedReplicas": total("replicas", new=True),
            "readyReplicas": total("readyReplicas"),
            "availableReplicas": total("availableReplicas"),
            "unavailableReplicas": max(0, wanted - total("availableReplicas")),
        }
        status: Document = {"observedGeneration": meta.get("generation", 1), **{k: v for k, v in counts.items() if v}}
        rolling = spec["strategy"].get("rollingUpdate") or {}
        missing = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False) if rolling else 0
        enough = counts["availableReplicas"] >= wanted - missing
        done = counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted
        status["conditions"] = self._conditions(found, enough=enough, done=done, sets=owned)
        if status != found.get("status"):
            changed = {**found, "status": status}
            self._registry.update(self._deployments, meta["namespace"], meta["name"], changed, subresource="status")

    def _conditions(self, found: Document, *, enough: bool, done: bool, sets: list[Document]) -> list[Document]:
        known = {c["type"]: c for c in found.get("status", {}).get("conditions") or []}
        template = _plain(found["spec"]["template"])
        name = next((o["metadata"]["name"] for o in sets if _plain(o["spec"]["template"]) == template), "")
        reached = f'ReplicaSet "{name}" has successfully progressed.'
        going = f'ReplicaSet "{name}" is progressing.'
        told = [
            ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
            ("Progressing", "True", "NewReplicaSetAvailable", reached)
            if done
            else ("Progressing", "True", "ReplicaSetUpdated", going),
        ]
        result: list[Document] = []
        for kind, status, reason, message in told:
            old = known.get(kind, {})
            same = (old.get("status"), old.get("reason"), old.get("message")) == (status, reason, message)
            since = old["lastTransitionTime"] if old.get("status") == status else now()
            entry = {"type": kind, "status": status, "reason": reason, "message": message}
            result.append(dict(old) if same else {**entry, "lastUpdateTime": now(), "lastTransitionTime": since})
        return result
