"""The scale of a workload: its replicas alone, as `kubectl scale` and autoscalers read and write them."""

from __future__ import annotations

from ..kinds.errors import Cause, Document, invalid


def scale_of(obj: Document) -> Document:
    """The Scale of a Deployment or a ReplicaSet."""
    meta = {k: obj["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    status: Document = {"replicas": obj.get("status", {}).get("replicas", 0)}
    if labels:
        status["selector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    spec = {"replicas": obj["spec"]["replicas"]} if obj["spec"]["replicas"] else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": spec, "status": status}


def scaled(obj: Document, scale: Document) -> Document:
    """The object with the replicas of a Scale; raises 422."""
    meta = scale.get("metadata") or {}
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        why = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid(
            "autoscaling", "Scale", obj["metadata"]["name"], [Cause("FieldValueInvalid", why, "spec.replicas")]
        )
    version = meta.get("resourceVersion") or obj["metadata"]["resourceVersion"]
    changed = {**obj["metadata"], "resourceVersion": version}
    return {**obj, "metadata": changed, "spec": {**obj["spec"], "replicas": replicas}}
