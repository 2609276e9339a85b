"""A whole real cluster in network namespaces: nodes with kube-proxy and a speaker, pods, CoreDNS and the world."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from support.testbed_api import Api
from support.testbed_binaries import PROFILES
from support.testbed_machines import APPS, CLUSTER_CIDR, DNS_SERVICE, LAN, Machines, Node, Pod
from support.testbed_metallb import NAMESPACE as METALLB
from support.testbed_metallb import MetalLb, run_pod
from support.testbed_netns import Namespaces
from support.testbed_plane import SERVICE_API, ControlPlane, PlaneSettings, http_get
from support.testbed_processes import Launcher, Program
from support.waiting import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
POOL: Final = f"{LAN}.241-{LAN}.250"
_SAMPLES: Final = ROOT / "cloud" / "edge_expose_local" / "samples"
_API_PORT: Final = 6443
_COREFILE: Final = """.:53 {
  errors
  health 127.0.0.1:8081
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig KUBECONFIG bed
    pods insecure
    ttl 5
  }
}
"""


class NetworkCluster:
    """One node at first; `add_node` gives it another. Everything is removed by `remove`."""

    def __init__(self, profile: str, folder: Path, pool: str = POOL) -> None:
        self.profile = profile
        self.folder = folder
        self.pool = pool
        self.seconds: dict[str, float] = {}
        self.pods: dict[str, Pod] = {}
        self._programs = PROFILES[profile]
        self._agents: dict[str, Program] = {}
        self.namespaces = Namespaces()
        try:
            self.machines = Machines(self.namespaces, folder / "log")
            self.node = self.machines.add_node()
        except BaseException:
            self.namespaces.remove_all()
            raise
        self._launcher = self.machines.launcher(self.node.namespace)
        settings = PlaneSettings(
            profile, self.node.ip, _API_PORT, (2379, 2380), 10257, self.node.namespace, advertise=True
        )
        self.plane = ControlPlane(settings, folder, self._launcher)
        self.metallb = MetalLb(profile, self.plane.api, self.plane.kubeconfig, self._launcher, (9120, 17472))

    @property
    def outside(self) -> str:
        """The network namespace of the world."""
        return self.machines.outside

    @property
    def api(self) -> Api:
        """As the administrator, from the node."""
        return self.plane.api

    @property
    def programs(self) -> list[Program]:
        found = [*self._agents.values(), self.metallb.controller, *self.plane.programs]
        return [program for program in found if program is not None]

    # --- start and end ---

    def start(self) -> None:
        begin = time.monotonic()
        self.plane.start()
        self.plane.wait_furnished()
        self.furnish()
        self.start_agents()
        self.seconds = {program.name: round(program.ready_after, 2) for program in self.programs}
        self.seconds["all"] = round(time.monotonic() - begin, 2)

    def furnish(self) -> None:
        """The objects of a fresh cluster; those that are there stay."""
        api = self.api
        for node in self.machines.nodes:
            self._register(node)
        api.create("/api/v1/namespaces", {"metadata": {"name": APPS}}, exists_ok=True)
        self.metallb.furnish([self.pool])
        ports = [{"name": f"dns-{p.lower()}", "port": 53, "protocol": p} for p in ("UDP", "TCP")]
        spec = {"clusterIP": DNS_SERVICE, "selector": {"k8s-app": "kube-dns"}, "ports": ports}
        system = "/api/v1/namespaces/kube-system"
        eventually(lambda: api.get(system), what="namespace kube-system")
        api.create(f"{system}/services", {"metadata": {"name": "kube-dns"}, "spec": spec}, exists_ok=True)

    def start_agents(self) -> None:
        """kube-proxy, MetalLB and CoreDNS: whatever of it does not run."""
        for node in self.machines.nodes:
            self._start_proxy(node)
        if self.metallb.controller is None or not self.metallb.controller.alive:
            self.metallb.start()
        for node in self.machines.nodes:
            self._start_speaker(node)
        self._start_dns()

    def stop_agents(self) -> None:
        self.metallb.kill()
        for program in self._agents.values():
            program.kill()

    def remove(self) -> None:
        """Ends every process and takes the namespaces away."""
        for pod in self.pods.values():
            if pod.program is not None:
                pod.program.kill()
        self.stop_agents()
        self.plane.kill()
        self.namespaces.remove_all()

    def power_cut(self) -> None:
        """Everything but etcd's disk and the pods' disks is gone, and comes back; pods get new addresses."""
        self.stop_agents()
        self.plane.kill()
        self.plane.start()
        self.start_agents()

    def wipe_and_rebuild(self) -> None:
        """The device is set up anew: no object survives, and the owner enters the same ranges again."""
        self.stop_agents()
        self.plane.wipe()
        self.plane.start()
        self.plane.wait_furnished()
        self.furnish()
        for pod in self.pods.values():
            if pod.sample:
                self._announce(pod)
        self.start_agents()

    # --- pods ---

    def run_sample(
        self,
        name: str,
        sample: str,
        labels: Mapping[str, str],
        ports: Sequence[tuple[int, str]],
        *,
        node: Node | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Pod:
        """A pod that runs one of the sample programs (web, db, echo), Ready as soon as it listens."""
        pod = self.machines.add_pod(name, node or self.node)
        self.pods[name] = pod
        pod.sample, pod.labels, pod.ports, pod.environment = sample, labels, ports, environment or {}
        pod.start([sys.executable, _SAMPLES / f"{sample}.py"], pod.environment)
        assert pod.program is not None
        program = pod.program
        program.wait_ready(lambda: "listens on" in program.tail())
        self._announce(pod)
        return pod

    def remove_pod(self, name: str) -> None:
        pod = self.pods.pop(name)
        self.api.delete(f"/api/v1/namespaces/{APPS}/pods/{name}?gracePeriodSeconds=0")
        self.machines.remove_pod(pod)

    def replace_pod(self, name: str, new: str) -> Pod:
        """Another pod of the same kind: another name and another address."""
        old = self.pods[name]
        self.remove_pod(name)
        return self.run_sample(new, old.sample, old.labels, old.ports, node=old.node, environment=old.environment)

    def replace_pods(self) -> None:
        """All of them, as after a reboot: names as before, addresses new."""
        for name in [name for name, pod in self.pods.items() if pod.sample]:
            self.replace_pod(name, name)

    def _announce(self, pod: Pod) -> None:
        ports = [{"containerPort": port, "protocol": protocol} for port, protocol in pod.ports]
        run_pod(self.api, APPS, pod.name, pod.ip, dict(pod.labels), node=pod.node.name, ports=ports)

    # --- nodes ---

    def add_node(self) -> Node:
        """Another node with its own kube-proxy and speaker."""
        node = self.machines.add_node()
        self._register(node)
        self._start_proxy(node)
        self._start_speaker(node)
        return node

    def lose_node(self, node: Node) -> None:
        """Power and network of a node are gone."""
        self.machines.unplug(node)
        for name in (f"kube-proxy-{node.name}", f"speaker-{node.name}"):
            self._agents.pop(name).kill()

    def give_up_node(self, node: Node) -> None:
        """What the node lifecycle controller does for a node that stays away: its pods are gone."""
        for name in [name for name, pod in self.pods.items() if pod.node is node]:
            self.remove_pod(name)
        self.api.delete(f"/api/v1/namespaces/{METALLB}/pods/speaker-{node.name}?gracePeriodSeconds=0")
        self.api.delete(f"/api/v1/nodes/{node.name}")
        self.machines.nodes.remove(node)

    def speaker(self, node: Node | None = None) -> Program:
        return self._agents[f"speaker-{(node or self.node).name}"]

    def restart_metallb(self) -> None:
        """Controller and speakers, killed and started again."""
        self.metallb.kill()
        for node in self.machines.nodes:
            self._agents[f"speaker-{node.name}"].kill()
        self.metallb.start()
        for node in self.machines.nodes:
            self._start_speaker(node)

    def _register(self, node: Node) -> None:
        api = self.api
        metadata = {"name": node.name, "labels": {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}}
        spec = {"podCIDR": node.pod_cidr, "podCIDRs": [node.pod_cidr]}
        api.create("/api/v1/nodes", {"metadata": metadata, "spec": spec}, exists_ok=True)
        addresses = [{"type": "InternalIP", "address": node.ip}, {"type": "Hostname", "address": node.name}]
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        path = f"/api/v1/nodes/{node.name}"
        api.merge(f"{path}/status", {"status": {"addresses": addresses, "conditions": [condition]}})
        if api.get(path)["spec"].get("taints"):
            api.merge(path, {"spec": {"taints": None}})
        run_speaker = {"app": "metallb", "component": "speaker"}
        api.create("/api/v1/namespaces", {"metadata": {"name": METALLB}}, exists_ok=True)
        run_pod(api, METALLB, f"speaker-{node.name}", node.ip, run_speaker, node=node.name, host=True)

    def _start(self, name: str, launcher: Launcher, command: Sequence[str | Path], **environment: str) -> Program:
        self._agents[name] = launcher.start(name, command, environment)
        return self._agents[name]

    def _runs(self, name: str) -> bool:
        return name in self._agents and self._agents[name].alive

    def _start_proxy(self, node: Node) -> None:
        name = f"kube-proxy-{node.name}"
        if self._runs(name):
            return
        mode = "nftables" if self.profile == "1.36" else "iptables"
        config: dict[str, Any] = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": mode,
            mode: {"minSyncPeriod": "50ms"},  # the default makes a new Service wait for most of a second
            "hostnameOverride": node.name,
            "bindAddress": "0.0.0.0",
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clusterCIDR": CLUSTER_CIDR,
            "clientConnection": {"kubeconfig": str(self.plane.kubeconfig)},
            # A namespace may not set the machine's limits, and kube-proxy ends when it cannot.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        if self.profile == "1.36":
            config["detectLocalMode"] = "ClusterCIDR"
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(config))
        launcher = self.machines.launcher(node.namespace)
        proxy = self._start(name, launcher, [self._programs.path("kube-proxy"), "--config", file])
        proxy.wait_ready(lambda: bool(http_get(node.namespace, 10256, "/healthz")))

    def _start_speaker(self, node: Node) -> None:
        name = f"speaker-{node.name}"
        if self._runs(name):
            return
        launcher, path = self.machines.launcher(node.namespace), self._programs.path("speaker")
        common = {
            "METALLB_NODE_NAME": node.name,
            "METALLB_NAMESPACE": METALLB,
            "METALLB_ML_LABELS": "app=metallb,component=speaker",
            "METALLB_ML_BIND_ADDR": node.ip,
            "METALLB_ML_BIND_PORT": "7946",
            "METALLB_POD_NAME": name,
        }
        if self.profile == "1.36":
            environment = {**common, "KUBECONFIG": str(self.plane.kubeconfig)}
            command: list[str | Path] = [path, "--port", "9121", "--health-probe-port", "17473"]
            speaker = self._start(name, launcher, command, **environment)
            speaker.wait_ready(lambda: bool(http_get(node.namespace, 17473, "/readyz")))
            return
        command = [path, "-kubeconfig", str(self.plane.kubeconfig), "-namespace", METALLB, "-port", "9121"]
        speaker = self._start(name, launcher, command, **common, METALLB_HOST=node.ip)
        speaker.wait_ready(lambda: bool(http_get(node.namespace, 9121, "/metrics", address=node.ip)))

    def _start_dns(self) -> None:
        """CoreDNS in a pod of its own, reaching the API as pods do."""
        name = "coredns"
        if self._runs(name):
            return
        if name not in self.pods:
            self.pods[name] = self.machines.add_pod(name, self.node)
        pod = self.pods[name]
        kubeconfig = self.folder / "kubeconfig.coredns"
        self.plane.write_kubeconfig(kubeconfig, self.plane.pki.admin_token, f"https://{SERVICE_API}:443")
        corefile = self.folder / "Corefile"
        corefile.write_text(_COREFILE.replace("KUBECONFIG", str(kubeconfig)))
        dns = self._start(name, pod.launcher, [self._programs.path("coredns"), "-conf", corefile])
        dns.wait_ready(lambda: bool(http_get(pod.namespace, 8181, "/ready")))
        run_pod(self.api, "kube-system", name, pod.ip, {"k8s-app": "kube-dns"})

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of what was said about a Service."""
        path = f"/api/v1/namespaces/{APPS}/events?fieldSelector=involvedObject.name={name}"
        return [(str(item.get("reason")), str(item.get("message"))) for item in self.api.items(path)]

    def describe(self) -> str:
        """What to print when a test fails."""
        services = self.api.items("/api/v1/services")
        return json.dumps({s["metadata"]["name"]: s["status"] for s in services})
