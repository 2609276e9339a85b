"""One device of a soak: hub, runtime and module of the local stand-in, and a cluster that is its own or a real one.

The module's account sees the Services of its own namespace only, so that holders elsewhere are invisible to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import CONFIG_MAPS, EVENTS, SERVICES
from edge_expose_module.load_balancers.metallb import POOLS
from support.local import Local
from support.testbed_api import Api
from support.testbed_loopback import start_real_cluster
from support.testbed_module import account_kubeconfig, apply_all, shipped
from support.watch_proxy import WatchProxy

NAMESPACE = "edge1"
ELSEWHERE = "elsewhere"
"""Services here may not be seen by the module."""
METALLB = "metallb-system"
_ACCOUNT = "soak"


@dataclass(frozen=True)
class _Answer:
    status: int
    body: Any


class _Admin:
    """The cluster as its administrator sees it, for `apply_all`; refusals are answers."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._api = Api(kubeconfig)

    def call(self, method: str, path: str, body: Any = None) -> _Answer:
        status, data = self._api.raw(method, path, body)
        return _Answer(status, json.loads(data or b"{}"))


class World:
    """`restart` kills a real cluster and starts it again; None where the cluster is a part of `local`."""

    def __init__(
        self, local: Local, kubeconfig: Path, profile: str, first: str, restart: Callable[[], None] | None
    ) -> None:
        self.local = local
        self.profile = profile
        self.restart = restart
        self.kubeconfig = kubeconfig
        self.proxy: WatchProxy | None = None
        """Before the module's API, where its watches are to have trouble."""
        self.api = self.new_api()
        self.ranges = first
        self.extra: dict[str, dict[str, Any]] = {}
        """Pools beside the first one, by name; what each holds beside its name."""

    def new_api(self) -> KubernetesApi:
        """An administrator's client, for one thread."""
        return KubernetesApi(self.kubeconfig, self.local.folder / "keys")

    def blind_account(self) -> Path:
        """The shipped rights without the one to see Services everywhere, and a kubeconfig with them."""
        admin = _Admin(self.kubeconfig)
        rights = shipped("rbac.yaml", NAMESPACE, {"edge-expose": _ACCOUNT})
        for rule in next(document for document in rights if document["kind"] == "ClusterRole")["rules"]:
            rule["resources"] = [resource for resource in rule["resources"] if resource != "services"]
        apply_all(admin, rights)
        admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": ELSEWHERE}})
        return account_kubeconfig(admin, NAMESPACE, self.local.folder / "module.kubeconfig", _ACCOUNT)

    def trouble_watches(self, account: Path, seed: int) -> Path:
        """Puts a proxy before the API for this account; a kubeconfig that leads to it."""
        self.proxy = WatchProxy(account, seed)
        return self.proxy.write_kubeconfig(self.local.folder / "watched.kubeconfig")

    def told_of(self, names: Collection[str]) -> Iterator[str]:
        """Services of these names, and the load balancer's newest Events about them."""
        wanted = {shape for name in names for shape in (name, f"{name}-udp", f"{name}-claim")}
        for item in self.api.list(SERVICES, NAMESPACE).items:
            if item["metadata"]["name"] in wanted:
                kept = {key: value for key, value in item["spec"].items() if key in ("type", "loadBalancerIP", "ports")}
                notes = item["metadata"].get("annotations")
                yield f"{item['metadata']['name']} at {address_of(item) or 'no address'}: {kept} {notes}"
        events = [e for e in self.api.list(EVENTS, NAMESPACE).items if e["involvedObject"].get("name") in wanted]
        for event in sorted(events, key=lambda event: str(event.get("lastTimestamp")))[-30:]:
            yield f"{event.get('lastTimestamp')} {event['involvedObject']['name']}: {event.get('message')}"

    # --- pools ---

    def set_pools(self) -> None:
        """Writes the first pool with `ranges`, and those of `extra`; others go."""
        if self.profile == "1.20":
            stated = [{"addresses": [self.ranges]}, *self.extra.values()]
            names = ["default", *self.extra]
            pools = [{"name": n, "protocol": "layer2", **pool} for n, pool in zip(names, stated, strict=True)]
            text = yaml.safe_dump({"address-pools": pools}, sort_keys=False)
            self.api.patch(CONFIG_MAPS, METALLB, "config", {"data": {"config": text}})
            return
        there = sorted(item["metadata"]["name"] for item in self.api.list(POOLS, METALLB).items)
        first = next(name for name in there if name in ("default", "p"))
        for name in there:
            if name != first and name not in self.extra:
                self.api.delete(POOLS, METALLB, name, "")
        self.api.patch(POOLS, METALLB, first, {"spec": {"addresses": [self.ranges]}})
        for name, pool in self.extra.items():
            if name in there:
                self.api.patch(POOLS, METALLB, name, {"spec": {"serviceAllocation": None, **pool}})
            else:
                body = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": name}}
                self.api.create(POOLS, METALLB, {**body, "spec": pool})


@contextmanager
def stand_in(folder: Path, block: int, profile: str) -> Iterator[World]:
    """The local stand-in in one of its profiles."""
    pool = f"127.{block}.0.10-127.{block}.0.39"
    local = Local(folder, block=block, pool=pool, profile=profile)
    try:
        yield World(local, Path(local.environment["KUBECONFIG"]), profile, pool, None)
    finally:
        local.stop()


@contextmanager
def on_real_cluster(folder: Path, block: int, profile: str) -> Iterator[World]:
    """Real kube-apiserver and MetalLB of `make testbed`; hub, runtime and module are the local ones."""
    pool = f"127.{block}.0.10-127.{block}.0.39"
    cluster = start_real_cluster(profile, folder / "cluster", pool)
    try:
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        cluster.api.create("/api/v1/nodes", {"metadata": {"name": "node1"}})
        labels = {"net.azure-devices.edge.module": "idle"}
        pod = {"containers": [{"name": "c", "image": "none/none:1"}], "nodeName": "node1"}
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        cluster.api.create(pods, {"metadata": {"name": "idle", "labels": labels}, "spec": pod})
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": "10.244.7.7", "podIPs": [{"ip": "10.244.7.7"}], "conditions": conditions}
        cluster.api.merge(f"{pods}/idle/status", {"status": status})
        content = yaml.safe_load(cluster.kubeconfig.read_text())
        content["contexts"][0]["context"]["namespace"] = NAMESPACE
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(content))
        local = Local(folder, block=block, kubeconfig=str(kubeconfig))
        try:
            yield World(local, kubeconfig, profile, pool, cluster.restart)
        finally:
            local.stop()
    finally:
        cluster.stop()


def address_of(service: Any) -> str:
    """The external address of a Service, or ''."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return str(ingress[0]["ip"]) if ingress else ""
