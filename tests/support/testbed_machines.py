"""The machines of the network form: a LAN with nodes and the outside world on it, and pods on the nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.testbed_netns import Namespaces, connect, run, set_address, sysctl
from support.testbed_processes import Launcher, Program

LAN: Final = "10.128.44"
CLUSTER_CIDR: Final = "10.244.0.0/16"
OUTSIDE: Final = (f"{LAN}.5", f"{LAN}.6")
DNS_SERVICE: Final = "10.96.0.10"
APPS: Final = "edge1"
"""The Kubernetes namespace of the modules: named like the device."""
# The files a kubelet mounts lie where clients look for them, in the mount namespace of that pod only.
_WITH_ACCOUNT: Final = (
    "mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && "
    'mount --bind "$1" /run/secrets/kubernetes.io/serviceaccount && shift && exec "$@"'
)


@dataclass
class Node:
    """A cluster node; `namespace` is its network namespace."""

    name: str
    namespace: str
    ip: str
    block: int
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(11))

    @property
    def pod_cidr(self) -> str:
        return f"10.244.{self.block}.0/24"

    @property
    def gateway(self) -> str:
        return f"10.244.{self.block}.1"

    def next_pod_ip(self) -> str:
        """Never one that was used before: a replaced pod has another address."""
        return f"10.244.{self.block}.{next(self.numbers)}"


@dataclass
class Pod:
    """A network namespace with a process in it."""

    name: str
    namespace: str
    ip: str
    node: Node
    launcher: Launcher
    program: Program | None = None
    sample: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[tuple[int, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, command: Sequence[str | Path], environment: Mapping[str, str], account: Path | None = None) -> None:
        """Runs the pod's process; `account` is the folder of its ServiceAccount files."""
        words: list[str | Path] = list(command)
        if account is not None:
            words = ["sh", "-c", _WITH_ACCOUNT, "sh", account, *words]
        self.program = self.launcher.start(f"pod-{self.name}", words, {"HOSTNAME": self.name, **environment})

    def stop(self) -> None:
        if self.program is not None:
            self.program.stop()


class Machines:
    """The LAN. `outside` is the world: two addresses on the LAN, no way into the pod network."""

    def __init__(self, namespaces: Namespaces, log: Path) -> None:
        self._namespaces = namespaces
        self._log = log
        self.outside = namespaces.add("outside")
        # The LAN is a bridge in the outside world; the nodes plug into it.
        run("ip", "-n", self.outside, "link", "add", "eth0", "type", "bridge")
        set_address(self.outside, "eth0", [f"{address}/24" for address in OUTSIDE])
        self.nodes: list[Node] = []
        self._blocks = itertools.count()

    def add_node(self) -> Node:
        """A machine that forwards between the LAN and its pods."""
        block = next(self._blocks)
        name = f"node{block + 1}"
        node = Node(name, self._namespaces.add(name), f"{LAN}.{240 - block}", block)
        # Without redirects off they use up the kernel's ICMP budget and kube-proxy's refusals time out.
        quiet = {"ipv4__conf__all__send_redirects": "0", "ipv4__conf__default__send_redirects": "0"}
        sysctl(node.namespace, ipv4__ip_forward="1", **quiet)
        connect(node.namespace, "eth0", self.outside, f"p-{name}")
        self.plug(node)
        set_address(node.namespace, "eth0", [f"{node.ip}/24"])
        # Without a default route a node does not reach cluster IPs.
        run("ip", "-n", node.namespace, "route", "add", "default", "via", OUTSIDE[0])
        run("ip", "-n", node.namespace, "link", "add", "cni0", "type", "bridge")
        set_address(node.namespace, "cni0", [f"{node.gateway}/24"])
        for other in self.nodes:
            run("ip", "-n", node.namespace, "route", "add", other.pod_cidr, "via", other.ip)
            run("ip", "-n", other.namespace, "route", "add", node.pod_cidr, "via", node.ip)
        self.masquerade(node)
        self.nodes.append(node)
        return node

    def plug(self, node: Node) -> None:
        run("ip", "-n", self.outside, "link", "set", f"p-{node.name}", "master", "eth0", "up")

    def unplug(self, node: Node) -> None:
        """The node loses the LAN."""
        run("ip", "-n", self.outside, "link", "set", f"p-{node.name}", "down")

    def launcher(self, namespace: str) -> Launcher:
        return Launcher(self._log, ("ip", "netns", "exec", namespace))

    def add_pod(self, name: str, node: Node) -> Pod:
        """A pod's network; its process is started with `Pod.start`."""
        search = f"{APPS}.svc.cluster.local svc.cluster.local cluster.local"
        resolver = f"nameserver {DNS_SERVICE}\nsearch {search}\noptions ndots:5 timeout:2 attempts:2\n"
        namespace = self._namespaces.add(f"pod-{name}", resolver)
        ip = node.next_pod_ip()
        port = f"v{ip.rpartition('.')[2]}"
        connect(namespace, "eth0", node.namespace, port)
        run("ip", "-n", node.namespace, "link", "set", port, "master", "cni0", "up")
        # A pod may reach itself through its own Service.
        run("ip", "netns", "exec", node.namespace, "bridge", "link", "set", "dev", port, "hairpin", "on")
        set_address(namespace, "eth0", [f"{ip}/24"])
        run("ip", "-n", namespace, "route", "add", "default", "via", node.gateway)
        return Pod(name, namespace, ip, node, self.launcher(namespace))

    def remove_pod(self, pod: Pod) -> None:
        pod.stop()
        self._namespaces.remove(pod.namespace)

    def masquerade(self, node: Node) -> None:
        """What the pod network's plugin does for traffic that leaves the cluster: the world sees the node."""
        base = ("ip", "netns", "exec", node.namespace, "nft")
        run(*base, "add table ip edge-nat")
        run(*base, "add chain ip edge-nat postrouting { type nat hook postrouting priority 110 ; }")
        rule = f"ip saddr {node.pod_cidr} ip daddr != {CLUSTER_CIDR} oifname eth0 masquerade"
        run(*base, f"add rule ip edge-nat postrouting {rule}")

    def stop_masquerade(self, node: Node) -> None:
        """As on a node whose network plugin has not set its rules yet."""
        run("ip", "netns", "exec", node.namespace, "nft", "delete table ip edge-nat")
