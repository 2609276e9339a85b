"""ReplicaSets: as many pods of a template as are wanted."""

from __future__ import annotations

import copy

from ..kinds.errors import ApiError, Document
from ..kinds.selectors import label_selector_matches
from ..objects.recorder import Recorder
from ..objects.registry import Registry
from .endpoints import pod_ready
from .workloads import is_active, leaving, owned_by, owner_of, ready, reference

WATCHED = frozenset({"replicasets.apps", "pods"})


class ReplicaSetController:
    """Makes and deletes pods."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store
        self._sets = registry.resource("replicasets", "apps")
        self._pods = registry.resource("pods")
        self._recorder = Recorder(registry.store, "replicaset-controller")

    def work(self) -> None:
        """One pass over all ReplicaSets."""
        for found in self._store.all(self._sets.storage):
            namespace = found["metadata"]["namespace"]
            if leaving(found):
                continue
            self._adopt(found)
            active = [pod for pod in owned_by(self._store.all("pods", namespace), found) if is_active(pod)]
            self._scale(found, active)
            active = [pod for pod in owned_by(self._store.all("pods", namespace), found) if is_active(pod)]
            self._report(found, active)

    def _adopt(self, found: Document) -> None:
        """Take pods that match and have no controller."""
        namespace = found["metadata"]["namespace"]
        for pod in self._store.all("pods", namespace):
            labels = pod["metadata"].get("labels") or {}
            if owner_of(pod) or not is_active(pod) or not label_selector_matches(found["spec"]["selector"], labels):
                continue
            owners = [*(pod["metadata"].get("ownerReferences") or []), reference(found)]
            self._store.put("pods", {**pod, "metadata": {**pod["metadata"], "ownerReferences": owners}})

    def _scale(self, found: Document, active: list[Document]) -> None:
        meta, wanted = found["metadata"], found["spec"]["replicas"]
        for _ in range(wanted - len(active)):
            template = copy.deepcopy(found["spec"]["template"])
            owned = {"generateName": f"{meta['name']}-", "ownerReferences": [reference(found)]}
            pod_meta = {**(template.get("metadata") or {}), **owned}
            pod_meta.pop("creationTimestamp", None)
            pod = {"metadata": pod_meta, "spec": template["spec"]}
            try:
                made = self._registry.create(self._pods, meta["namespace"], pod)
            except ApiError as error:
                self._recorder.event(found, "Warning", "FailedCreate", f"Error creating: {error.message}")
                return
            self._recorder.event(found, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        newest = sorted(active, key=lambda p: (pod_ready(p), _older_is_larger(p)))
        for pod in newest[: max(0, len(active) - wanted)]:
            name = pod["metadata"]["name"]
            self._registry.delete(self._pods, meta["namespace"], name, {})
            self._recorder.event(found, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _report(self, found: Document, active: list[Document]) -> None:
        meta = found["metadata"]
        labels = (found["spec"]["template"].get("metadata") or {}).get("labels") or {}
        whole = [p for p in active if labels.items() <= (p["metadata"].get("labels") or {}).items()]
        counts = {
            "fullyLabeledReplicas": len(whole),
            "readyReplicas": ready(active),
            "availableReplicas": ready(active),
        }
        status: Document = {"replicas": len(active), **{name: count for name, count in counts.items() if count}}
        status["observedGeneration"] = meta.get("generation", 1)
        if status != found.get("status"):
            self._registry.update(
                self._sets, meta["namespace"], meta["name"], {**found, "status": status}, subresource="status"
            )


def _older_is_larger(pod: Document) -> tuple[int, ...]:
    """A key that puts younger pods first."""
    return tuple(-ord(letter) for letter in pod["metadata"].get("creationTimestamp", ""))
