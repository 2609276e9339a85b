"""One object of every kind that the local cluster serves, with fields of every sort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Sample:
    """One object, by the path of its collection."""

    group: str
    plural: str
    document: dict[str, Any]
    namespaced: bool = True
    version: str = "v1"

    @property
    def kind(self) -> str:
        """The kind."""
        return str(self.document["kind"])

    def path(self, namespace: str) -> str:
        """Where objects of the kind are made."""
        base = f"/apis/{self.group}/{self.version}" if self.group else "/api/v1"
        return f"{base}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{base}/{self.plural}"


def _sample(group: str, plural: str, kind: str, namespaced: bool = True, version: str = "v1", **more: Any) -> Sample:
    head = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind}
    return Sample(group, plural, {**head, **more}, namespaced, version)


def samples(name: str, namespace: str, profile: str) -> list[Sample]:
    """Objects of this name; `profile` is 1.36 or 1.20."""
    meta = {"name": name, "labels": {"a": "1", "b": ""}, "annotations": {"acme.com/note": "ü"}}
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name}
    probe = {"tcpSocket": {"port": "web"}, "periodSeconds": 3}
    container = {
        "name": "c",
        "image": "none/none:1",
        "command": ["a", ""],
        "ports": [{"name": "web", "containerPort": 80}],
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
        ],
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m"}},
        "readinessProbe": probe,
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}],
        "securityContext": {"runAsUser": 0, "privileged": False, "capabilities": {"drop": ["ALL"]}},
    }
    volumes = [
        {"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}},
        {"name": "e", "emptyDir": {}},
    ]
    pod = {
        "containers": [container],
        "volumes": volumes,
        "nodeName": "elsewhere",
        "tolerations": [{"operator": "Exists"}],
    }
    port = {"name": "web", "port": 80, "targetPort": "web"}
    service = {
        "ports": [port, {"name": "n", "port": 81, "targetPort": 8081}],
        "selector": {"a": "1"},
        "publishNotReadyAddresses": True,
    }
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["x"]}
    urls = {"nonResourceURLs": ["/healthz"], "verbs": ["get"]}
    subject = {"kind": "ServiceAccount", "name": "x", "namespace": "y"}
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
    micro = "2026-01-02T03:04:05.000007Z"
    lease = {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": micro, "leaseTransitions": 2}
    endpoint = {"addresses": ["10.9.9.9"], "conditions": {"ready": False}, "targetRef": about}
    subset = {"addresses": [{"ip": "10.9.9.9", "targetRef": about}], "ports": [{"name": "web", "port": 80}]}
    condition = {"type": "Ready", "status": "True", "reason": "x", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    event = {
        "involvedObject": about,
        "reason": "Testing",
        "message": "said",
        "type": "Normal",
        "source": {"component": "test"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:06Z",
        "count": 3,
    }
    new_event = {
        "regarding": about,
        "eventTime": micro,
        "reason": "Testing",
        "action": "Tested",
        "note": "said",
        "type": "Normal",
        "reportingController": "acme.com/test",
        "reportingInstance": "test-1",
    }
    slices = "v1" if profile == "1.36" else "v1beta1"
    template = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [container], "volumes": volumes}}
    workload = {"replicas": 0, "selector": {"matchLabels": {"a": "1"}}, "template": template}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "50%"}}
    return [
        _sample(
            "",
            "configmaps",
            "ConfigMap",
            metadata=meta,
            data={"k": "v", "e": ""},
            binaryData={"b": "/wA="},
            immutable=True,
        ),
        _sample("", "secrets", "Secret", metadata=meta, data={"k": "cGFzcw=="}, type="acme.com/own"),
        _sample("", "services", "Service", metadata=meta, spec=service),
        _sample("", "endpoints", "Endpoints", metadata=meta, subsets=[subset]),
        _sample("", "events", "Event", metadata={**meta, "namespace": namespace}, **event),
        _sample("", "namespaces", "Namespace", namespaced=False, metadata=meta),
        _sample(
            "",
            "nodes",
            "Node",
            namespaced=False,
            metadata=meta,
            spec={"unschedulable": True},
            status={"conditions": [condition]},
        ),
        _sample("", "pods", "Pod", metadata=meta, spec=pod),
        _sample(
            "",
            "serviceaccounts",
            "ServiceAccount",
            metadata=meta,
            imagePullSecrets=[{"name": "r"}],
            automountServiceAccountToken=False,
        ),
        _sample(
            "apps", "deployments", "Deployment", metadata=meta, spec={**workload, "strategy": rolling, "paused": True}
        ),
        _sample("apps", "replicasets", "ReplicaSet", metadata=meta, spec=workload),
        _sample("coordination.k8s.io", "leases", "Lease", metadata=meta, spec=lease),
        _sample(
            "discovery.k8s.io",
            "endpointslices",
            "EndpointSlice",
            version=slices,
            metadata=meta,
            addressType="IPv4",
            endpoints=[endpoint],
            ports=[{"name": "web", "port": 80, "protocol": "TCP"}],
        ),
        _sample(
            "events.k8s.io", "events", "Event", metadata={"name": f"{name}-2", "namespace": namespace}, **new_event
        ),
        _sample(RBAC, "roles", "Role", metadata=meta, rules=[rule]),
        _sample(RBAC, "rolebindings", "RoleBinding", metadata=meta, subjects=[subject], roleRef=reference),
        _sample(RBAC, "clusterroles", "ClusterRole", namespaced=False, metadata=meta, rules=[rule, urls]),
        _sample(
            RBAC,
            "clusterrolebindings",
            "ClusterRoleBinding",
            namespaced=False,
            metadata=meta,
            subjects=[subject],
            roleRef=reference,
        ),
    ]
