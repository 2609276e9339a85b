"""The objects a fresh cluster starts with, and the kubeconfig."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from ...private_files import write_private
from ..access.rbac import bootstrap_roles
from ..kinds.errors import Document
from ..kubelet.kubelet import NODE
from ..metallb.configuration import NAMESPACE
from ..objects.prepare import now
from ..objects.registry import Registry
from .control import set_pool

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", NAMESPACE)


def furnish(registry: Registry, pool: str, address: str, port: int) -> None:
    """Make what is missing; a pool that exists already is left as it is."""
    store, profile = registry.store, registry.profile
    for name in _NAMESPACES:
        if store.get("namespaces", "", name) is None:
            registry.create(registry.resource("namespaces"), "", {"metadata": {"name": name}})
    for storage, obj in bootstrap_roles(registry.profile):
        plural, _, group = storage.partition(".")
        if store.get(storage, "", obj["metadata"]["name"]) is None:
            registry.create(registry.resource(plural, group), "", obj)
    if store.get("nodes", "", NODE) is None:
        registry.create(registry.resource("nodes"), "", _node(profile.git_version, address))
    if profile.crd_pools:
        if not store.all("ipaddresspools.metallb.io", NAMESPACE) and not store.fact("furnished"):
            set_pool(registry, pool)
            advertisements = registry.resource("l2advertisements", "metallb.io")
            spec = {"ipAddressPools": ["default"]}
            registry.create(advertisements, NAMESPACE, {"metadata": {"name": "default"}, "spec": spec})
    elif store.get("configmaps", NAMESPACE, "config") is None and not store.fact("furnished"):
        set_pool(registry, pool)
    store.set_fact("furnished", "1")


def write_kubeconfig(path: Path, address: str, port: int, ca: bytes, token: str) -> None:
    """Write the administrator's kubeconfig (0600)."""
    encoded = base64.b64encode(ca).decode()
    document: Document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "edge-expose",
                "cluster": {"server": f"https://{address}:{port}", "certificate-authority-data": encoded},
            }
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [
            {"name": "edge-expose", "context": {"cluster": "edge-expose", "user": "admin", "namespace": "default"}}
        ],
        "current-context": "edge-expose",
    }
    write_private(path, json.dumps(document, indent=1).encode())


def _node(version: str, address: str) -> Document:
    return {
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": NODE}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "lastTransitionTime": now(),
                    "message": "ready",
                }
            ],
            "nodeInfo": {
                "kubeletVersion": version,
                "kubeProxyVersion": version,
                "operatingSystem": "linux",
                "architecture": "amd64",
                "osImage": "edge-expose local",
                "containerRuntimeVersion": "process://1",
                "kernelVersion": "",
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        },
    }
