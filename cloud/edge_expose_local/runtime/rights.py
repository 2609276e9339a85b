"""The Kubernetes rights our module gets: those of the shipped role (deployment-manifests/kubernetes), and no more.

A test holds the two equal, so that every local run proves that the shipped rights are enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_expose_local.runtime.kube import Kube, KubeError

JsonObject = dict[str, Any]
ACCOUNT = "edge-expose"
# Renewed whenever the module starts and well before it ends; short enough that rotation is lived with.
TOKEN_SECONDS = 24 * 3600

NAMESPACE_RULES: list[JsonObject] = [
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list", "watch"]},
]
RAILS_RULE: JsonObject = {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "resourceNames": ["edge-expose-guard-rails"],
    "verbs": ["get", "list", "watch"],
}
_READ = ["get", "list", "watch"]
CLUSTER_RULES: list[JsonObject] = [
    {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": _READ},
    {
        "apiGroups": ["metallb.io"],
        "resources": ["ipaddresspools", "l2advertisements", "bgpadvertisements", "configurationstates"],
        "verbs": _READ,
    },
    {"apiGroups": ["cilium.io"], "resources": ["ciliumloadbalancerippools"], "verbs": _READ},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
]
METALLB_RULES: list[JsonObject] = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": _READ},
]
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def grant(kube: Kube, namespace: str) -> str:
    """Namespace, ServiceAccount, roles and bindings of one device's module; returns the account's uid.

    A token is good for one uid only: an account that was deleted with its namespace and made again needs a new one.
    Raises KubeError.
    """
    for name in (namespace, "metallb-system"):
        try:
            kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        except KubeError as error:
            if error.status != 409:
                raise
    try:
        kube.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
    except KubeError as error:
        if error.status != 409:
            raise
    _bind(kube, namespace, "Role", ACCOUNT, [*NAMESPACE_RULES, RAILS_RULE], namespace)
    _bind(kube, "metallb-system", "Role", f"{ACCOUNT}-{namespace}", METALLB_RULES, namespace)
    _bind(kube, None, "ClusterRole", f"{ACCOUNT}-{namespace}", CLUSTER_RULES, namespace)
    account = kube.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}")
    return str(account["metadata"]["uid"])


def _bind(kube: Kube, where: str | None, kind: str, name: str, rules: list[JsonObject], account_in: str) -> None:
    base = f"{_RBAC}/namespaces/{where}" if where is not None else _RBAC
    metadata: JsonObject = {"name": name} if where is None else {"name": name, "namespace": where}
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    kube.ensure(f"{base}/{kind.lower()}s", {**api, "kind": kind, "metadata": metadata, "rules": rules})
    kube.ensure(
        f"{base}/{kind.lower()}bindings",
        {
            **api,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": account_in}],
        },
    )


def write_kubeconfig(kube: Kube, namespace: str, file: Path) -> None:
    """A fresh token for the module's account, as a kubeconfig that only we can read. Raises KubeError."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS},
    }
    token = str(kube.call("POST", path, body)["status"]["token"])
    temporary = file.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(kube.kubeconfig_for(token, namespace), encoding="utf-8")
    temporary.replace(file)
