"""The real controller with the real Kubernetes adapter on a cluster of a test, with exactly the shipped rights."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from edge_expose_contract.identity import owner_id
from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.controller import Controller, Identity
from support.bench import Bench, NoMeasures, NoWatches, nobody_answers
from support.waiting import eventually

SHIPPED: Final = Path(__file__).resolve().parents[2] / "deployment-manifests" / "kubernetes"
_PLURALS: Final = {
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "IPAddressPool": "ipaddresspools",
    "L2Advertisement": "l2advertisements",
    "Deployment": "deployments",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Secret": "secrets",
}


class Answers(Protocol):
    """What a cluster answered."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> Any: ...


class Cluster(Protocol):
    """What is asked of a cluster here; the agreement suites' handle is one."""

    kubeconfig: Path

    def call(self, method: str, path: str, body: Any = None) -> Answers: ...


def shipped(file: str, namespace: str, others: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The objects of a shipped file, with `edge1` (and `others`) replaced as its head says a user should."""
    text = (SHIPPED / file).read_text()
    for old, new in {"edge1": namespace, **(others or {})}.items():
        text = text.replace(f"namespace: {old}", f"namespace: {new}").replace(f"name: {old}", f"name: {new}")
        text = text.replace(f"edge-expose-{old}", f"edge-expose-{new}")
    return [document for document in yaml.safe_load_all(text) if document]


def path_of(document: Mapping[str, Any], *, named: bool = True) -> str:
    """Where an object lives in the API."""
    version, metadata = document["apiVersion"], document["metadata"]
    path = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    if "namespace" in metadata:
        path += f"/namespaces/{metadata['namespace']}"
    path += f"/{_PLURALS[document['kind']]}"
    return f"{path}/{metadata['name']}" if named else path


def apply_all(cluster: Cluster, documents: Sequence[dict[str, Any]]) -> None:
    """Creates objects, or replaces what is there, as `kubectl apply` would leave them."""
    for document in documents:
        answer = cluster.call("POST", path_of(document, named=False), document)
        if answer.status == 409 and document["kind"] in ("Namespace", "ServiceAccount"):
            continue
        if answer.status == 409:
            # Without a version: it replaces whatever controllers have written meanwhile.
            answer = cluster.call("PUT", path_of(document), document)
        assert answer.status in (200, 201), answer


def account_kubeconfig(cluster: Cluster, namespace: str, file: Path, account: str = "edge-expose") -> Path:
    """A kubeconfig of the module's ServiceAccount."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = cluster.call("POST", path, body)
    assert answer.status == 201, answer
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": answer.body["status"]["token"]}
    content["contexts"][0]["context"]["namespace"] = namespace
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return file


class ModuleBench(Bench):
    """Passes are run by hand; `rights` are the shipped files that were applied."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path, rights: Sequence[str] = ("rbac.yaml",)) -> None:
        self.handle = cluster
        self.namespace = namespace
        self.rights = [document for file in rights for document in shipped(file, namespace)]
        apply_all(cluster, self.rights)
        kubeconfig = account_kubeconfig(cluster, namespace, folder / "module.kubeconfig")
        self.kubernetes = KubernetesApi(kubeconfig, folder / "keys")
        super().__init__(cluster=self.kubernetes)  # type: ignore[arg-type]

    def _new(self) -> Controller:
        owner = owner_id("hub.test", self.namespace)
        return Controller(
            Identity(owner, "1.0.0", self.namespace),
            self.cluster,  # type: ignore[arg-type]
            self.twin,
            self.store,
            self.guards,
            NoMeasures(),
            nobody_answers,
            now=lambda: self.time,
            watches=NoWatches(),
        )

    def rights_in(self, namespace: str) -> None:
        """What the module needs in one more namespace."""
        documents = shipped("rbac-extra-namespace.yaml", self.namespace, {"web": namespace})
        apply_all(self.handle, documents)
        self.rights += documents

    def service(self, name: str, namespace: str | None = None) -> dict[str, Any]:
        """A Service as it is now; {} when there is none."""
        answer = self.handle.call("GET", f"/api/v1/namespaces/{namespace or self.namespace}/services/{name}")
        return dict(answer.body) if answer.status == 200 else {}

    def until(self, name: str, state: str, address: str | None = None, reason: str | None = None) -> Mapping[str, Any]:
        """Passes until an exposure is reported so; returns its entry."""

        def look() -> Mapping[str, Any] | None:
            self.run(1)
            entry: Mapping[str, Any] = self.twin.reported.get("exposures", {}).get(name) or {}
            good = entry.get("state") == state and (address is None or entry.get("address") == address)
            return entry if good and (reason is None or entry.get("reason") == reason) else None

        try:
            return dict(eventually(look, what=f"{name} {state} {address or ''} {reason or ''}"))
        except AssertionError as error:
            raise AssertionError(f"{error}\nreported: {json.dumps(dict(self.twin.reported))[:2000]}") from None

    def until_true(self, check: Callable[[], Any], what: str) -> Any:
        """Passes until something holds."""

        def look() -> Any:
            self.run(1)
            return check()

        return eventually(look, what=what)

    def is_quiet(self) -> bool:
        """A pass that writes nothing to the cluster."""
        before = self._versions()
        self.run(2)
        time.sleep(0.1)
        return before == self._versions()

    def _versions(self) -> list[tuple[str, str]]:
        items = self.handle.call("GET", f"/api/v1/namespaces/{self.namespace}/services").body["items"]
        return [(item["metadata"]["name"], item["metadata"]["resourceVersion"]) for item in items]

    def remove_rights(self) -> None:
        """Removes what lies outside the test's own namespace."""
        for document in self.rights:
            if document["metadata"].get("namespace") != self.namespace and document["kind"] != "Namespace":
                self.handle.call("DELETE", path_of(document))
