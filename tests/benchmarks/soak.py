"""`make soak SEED=n STEPS=500`: a randomised run on the local stand-in with real processes, and what must hold.

Twin edits, hub drops, `kill -9` of every part, hand edits and deletions of Services, foreign Services, range changes.
At every pause (and at the end) faults stop, and then: desired = observed, no held address moved without a cause,
nothing foreign was touched, and the module's process leaked neither threads, files nor memory. Clock jumps, which real
processes of one machine cannot have, are part of `make fuzz`.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from edge_expose_contract.addressing import AddressSet, parse_address
from edge_expose_local.control_client import ControlError
from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.clusterapi import SERVICES, ClusterError, Resource
from edge_expose_module.load_balancers.metallb import POOLS
from support.local import Local
from support.testbed_loopback import start_real_cluster

PAUSE_EVERY = 25
QUIET_SECONDS = 60.0
NAMESPACE = "edge1"
BLOCK = 121
POOL = f"127.{BLOCK}.0.10-127.{BLOCK}.0.39"


@dataclass(frozen=True)
class World:
    """What differs between the local stand-in and a real cluster."""

    pool: str
    set_pool: Callable[[str], object]
    restart: Callable[[], None] | None = None


class Soak:
    def __init__(self, local: Local, seed: int, world: World) -> None:
        self.local = local
        self.world = world
        self.random = random.Random(seed)
        self.wishes: dict[str, dict[str, Any]] = {}
        self.held: dict[str, str] = {}
        self.foreign: dict[str, dict[str, Any]] = {}
        self.pool = world.pool
        self.counts: collections.Counter[str] = collections.Counter()
        self.moved_with_cause = 0
        self.hub = IoTHubRegistryManager.from_connection_string(local.environment["IOTHUB_CONNECTION_STRING"])
        self.hub.protocol.config.connection.verify = local.environment["EDGE_EXPOSE_HUB_CA"]
        self.api = KubernetesApi(Path(local.environment["KUBECONFIG"]), local.folder / "keys")
        self.numbers = iter(range(1, 100000))
        self.given_away: set[str] = set()
        """Addresses that foreign Services got since the last quiet check."""
        self.history: list[str] = []
        """What was done, with times, to be shown when something does not hold."""

    # --- steps ---

    def step(self) -> None:
        actions = [
            (self.edit, 40),
            (self.hand_edit, 10),
            (self.hand_delete, 8),
            (self.add_foreign, 6),
            (self.remove_foreign, 4),
            (self.change_pool, 5),
            (self.drop_hub, 6),
            (lambda: self.kill("hub"), 3),
            (lambda: self.kill("cluster"), 3),
            (lambda: self.kill("module"), 4),
            (lambda: self.kill("runtime"), 2),
            (lambda: time.sleep(0.2), 9),
        ]
        action = self.random.choices([a for a, _ in actions], [w for _, w in actions])[0]
        try:
            action()
        except (ClusterError, ControlError, OSError) as error:
            self.counts[f"world away ({type(error).__name__})"] += 1
        except Exception as error:  # the service SDK's own kinds, while the hub is being killed
            if "msrest" not in type(error).__module__ and "requests" not in type(error).__module__:
                raise
            self.counts["hub away"] += 1

    def edit(self) -> None:
        name = f"e{self.random.randrange(12)}"
        if name in self.wishes and self.random.random() < 0.25:
            self.patch({name: None})
            del self.wishes[name]
            self.held.pop(name, None)
            self.counts["exposures removed"] += 1
            return
        wish: dict[str, Any] = {"module": "idle", "ports": [f"{self.random.randrange(1000, 1100)}:8080"]}
        roll = self.random.random()
        if roll < 0.15:
            wish["address"] = self.local.address(self.random.randrange(10, 40))
        elif roll < 0.25:
            wish["type"] = "ClusterIP"
        elif roll < 0.35:
            wish["ports"].append("53:8080/udp")
        elif roll < 0.4:
            wish = {"module": "idle", "ports": ["not a port"]}
        old = self.wishes.get(name, {})
        if (wish.get("address"), wish.get("type")) != (old.get("address"), old.get("type")):
            self.held.pop(name, None)  # the wish itself moves it
        removed = {key: None for key in old if key not in wish}
        self.patch({name: {**wish, **removed}})
        self.wishes[name] = wish
        self.counts["exposures edited"] += 1

    def note(self, text: str) -> None:
        self.history.append(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}")

    def patch(self, exposures: dict[str, Any]) -> None:
        self.note(f"edit {exposures}")
        self.hub.update_module_twin(
            NAMESPACE, "edge-expose", Twin(properties=TwinProperties(desired={"exposures": exposures})), "*"
        )

    def ours(self) -> list[dict[str, Any]]:
        items = self.api.list(SERVICES, NAMESPACE).items
        return [dict(i) for i in items if "edge-expose.io/owner" in (i["metadata"].get("labels") or {})]

    def hand_edit(self) -> None:
        for service in self.random.sample(self.ours(), k=1) if self.ours() else []:
            spec = self.random.choice(
                [{"selector": {"app": "evil"}}, {"sessionAffinity": "ClientIP"}, {"externalTrafficPolicy": "Local"}]
            )
            if service["spec"]["type"] == "ClusterIP":
                spec.pop("externalTrafficPolicy", None)
            self.api.patch(SERVICES, NAMESPACE, service["metadata"]["name"], {"spec": spec})
            self.counts["Services edited by hand"] += 1

    def hand_delete(self) -> None:
        for service in self.random.sample(self.ours(), k=1) if self.ours() else []:
            self.api.delete(SERVICES, NAMESPACE, service["metadata"]["name"], "")
            self.note(f"deleted by hand {service['metadata']['name']} {service.get('status')}")
            self.counts["Services deleted by hand"] += 1

    def add_foreign(self) -> None:
        name = f"foreign-{next(self.numbers)}"
        spec = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "theirs"}}
        self.api.create(SERVICES, NAMESPACE, {"metadata": {"name": name, "labels": {"team": "them"}}, "spec": spec})
        self.foreign[name] = spec
        self.counts["foreign Services made"] += 1
        time.sleep(0.1)
        ingress = self.api.get(SERVICES, NAMESPACE, name).get("status", {}).get("loadBalancer", {}).get("ingress")
        if ingress:
            self.given_away.add(ingress[0]["ip"])
            self.note(f"{name} got {ingress[0]['ip']}")

    def remove_foreign(self) -> None:
        for name in self.random.sample(sorted(self.foreign), k=1) if self.foreign else []:
            self.api.delete(SERVICES, NAMESPACE, name, "")
            del self.foreign[name]
            self.counts["foreign Services removed"] += 1

    def change_pool(self) -> None:
        last = self.random.choice([16, 25, 39, 39])
        pool = f"{self.local.address(10)}-{self.local.address(last)}"
        self.world.set_pool(pool)
        self.pool = pool
        self.note(f"pool {pool} for e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 e10 e11")
        self.forget_illegal()
        self.counts["range changes"] += 1

    def forget_illegal(self) -> None:
        pool = AddressSet.parse(self.pool)
        for name, address in list(self.held.items()):
            if parse_address(address) not in pool:
                del self.held[name]
                self.moved_with_cause += 1

    def drop_hub(self) -> None:
        self.local.instance.fault("drop-connections", {})
        self.counts["hub drops"] += 1

    def kill(self, part: str) -> None:
        if part == "cluster" and self.world.restart is not None:
            self.world.restart()
            self.counts["real cluster killed and started again"] += 1
            return
        pid = self.local.part(part)["pid"]
        if pid:
            os.kill(int(pid), signal.SIGKILL)
            self.counts[f"kill -9 {part}"] += 1

    # --- what must hold ---

    def check(self) -> list[str]:
        """Waits for quiet; what is still wrong then."""
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            try:
                self.local.instance.clear_faults()
                self.world.set_pool(self.pool)
                break
            except (ControlError, ClusterError):
                time.sleep(0.2)  # just killed, on its way back
        problems = ["nothing was seen"]
        while time.monotonic() < deadline and problems:
            time.sleep(0.3)
            try:
                problems = self.problems()
            except Exception as error:  # parts are coming back
                problems = [f"{type(error).__name__}: {error}"]
        return problems

    def problems(self) -> list[str]:
        twin = self.hub.get_module_twin(NAMESPACE, "edge-expose")
        reported, desired = twin.properties.reported, twin.properties.desired
        if reported.get("lastDesiredVersion") != desired["$version"]:
            return ["the report is not of the last document"]
        services = {s["metadata"]["name"]: s for s in map(dict, self.api.list(SERVICES, NAMESPACE).items)}
        found: list[str] = []
        exposures = reported.get("exposures", {})
        if set(exposures) != set(self.wishes):
            return [f"reported {sorted(exposures)}, wanted {sorted(self.wishes)}"]
        for name, wish in self.wishes.items():
            found.extend(self.exposure_problems(name, wish, exposures[name], services))
        known = {n for w in self.wishes for n in (w, f"{w}-udp")}
        owned = {n for n, s in services.items() if "edge-expose.io/owner" in (s["metadata"].get("labels") or {})}
        found.extend(f"Service {name} is nobody's wish" for name in owned - known)
        for name, spec in self.foreign.items():
            if name not in services:
                found.append(f"foreign Service {name} is gone")
            elif services[name]["spec"]["selector"] != spec["selector"]:
                found.append(f"foreign Service {name} was touched")
        addresses: dict[tuple[str, str, int], str] = {}
        for name, service in services.items():
            for ingress in (service.get("status", {}).get("loadBalancer", {}) or {}).get("ingress") or []:
                for port in service["spec"]["ports"]:
                    key = (ingress["ip"], port["protocol"], port["port"])
                    if key in addresses:
                        found.append(f"{key} is held by {addresses[key]} and {name}")
                    addresses[key] = name
        return found

    def exposure_problems(
        self, name: str, wish: dict[str, Any], entry: dict[str, Any], services: dict[str, dict[str, Any]]
    ) -> list[str]:
        state, reason, address = entry["state"], entry.get("reason"), entry.get("address")
        if "not a port" in wish["ports"]:
            return [] if state == "Blocked" and reason == "InvalidExposure" else [f"{name}: a broken wish is {entry}"]
        if state == "Blocked" and reason in ("PoolExhausted", "AddressTaken", "AddressOutsideRange"):
            return [] if "type" not in wish else [f"{name}: {entry}"]
        if state != "Ready":
            return [f"{name}: {entry}"]
        service = services.get(name)
        if service is None or service["spec"]["selector"] != {"net.azure-devices.edge.module": "idle"}:
            return [f"{name}: its Service is not as declared"]
        if wish.get("type") == "ClusterIP":
            return [] if address is None else [f"{name}: a ClusterIP exposure has {address}"]
        if wish.get("address", address) != address:
            return [f"{name}: pinned to {wish['address']}, has {address}"]
        before = self.held.get(name)
        if before is not None and before != address and not self.taken_by_foreign(before, services):
            return [f"{name}: moved from {before} to {address} without a cause"]
        self.held[name] = str(address)
        return []

    def taken_by_foreign(self, address: str, services: dict[str, dict[str, Any]]) -> bool:
        """Deleted by hand, and the load balancer gave the address to a foreign Service before we were back."""
        holders = {
            ingress["ip"]
            for name in self.foreign
            for ingress in (services.get(name, {}).get("status", {}).get("loadBalancer", {}) or {}).get("ingress") or []
        }
        taken = address in holders | self.given_away
        self.moved_with_cause += taken
        return taken

    # --- leaks ---

    def footprint(self) -> dict[str, float]:
        pid = self.local.part("module")["pid"]
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return {
            "threads": int(fields["Threads"]),
            "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
            "MiB": round(int(fields["VmRSS"].split()[0]) / 1024, 1),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--real", action="store_true", help="on the real API server and MetalLB of `make testbed`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-expose-soak-") as folder:
        if arguments.real:
            return on_real_cluster(Path(folder), arguments.seed, arguments.steps)
        local = Local(Path(folder), block=BLOCK, pool=POOL)
        try:
            return run(local, arguments.seed, arguments.steps, World(POOL, local.instance.set_pool))
        finally:
            local.stop()


def on_real_cluster(folder: Path, seed: int, steps: int) -> int:
    """Real kube-apiserver 1.36.3 and MetalLB 0.16.1 of `make testbed`; hub, runtime and module are the local ones."""
    cluster = start_real_cluster("1.36", folder / "cluster", POOL)
    try:
        api = KubernetesApi(cluster.kubeconfig, folder / "keys")
        cluster.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        cluster.api.call("POST", "/api/v1/nodes", {"metadata": {"name": "node1"}})
        pod = {"containers": [{"name": "c", "image": "none/none:1"}], "nodeName": "node1"}
        labels = {"net.azure-devices.edge.module": "idle"}
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        cluster.api.call("POST", pods, {"metadata": {"name": "idle", "labels": labels}, "spec": pod})
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": "10.244.7.7", "podIPs": [{"ip": "10.244.7.7"}], "conditions": conditions}
        api.patch(Resource("/api/v1", "pods", "Pod"), NAMESPACE, "idle/status", {"status": status})
        content = yaml.safe_load(cluster.kubeconfig.read_text())
        content["contexts"][0]["context"]["namespace"] = NAMESPACE
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(content))

        def set_pool(ranges: str) -> None:
            for item in api.list(POOLS, "metallb-system").items:
                api.patch(POOLS, "metallb-system", item["metadata"]["name"], {"spec": {"addresses": [ranges]}})

        local = Local(folder, block=BLOCK, kubeconfig=str(kubeconfig))
        try:
            return run(local, seed, steps, World(POOL, set_pool, cluster.restart))
        finally:
            local.stop()
    finally:
        cluster.stop()


def run(local: Local, seed: int, steps: int, world: World) -> int:
    local.deploy({"e0": {"module": "idle", "ports": ["1000:8080"]}}, {"idle": {"image": "edge-expose/echo:1"}})
    local.wait_for("e0", "Ready")
    soak = Soak(local, seed, world)
    soak.wishes["e0"] = {"module": "idle", "ports": ["1000:8080"]}
    started = time.monotonic()
    checks = 0
    for number in range(1, steps + 1):
        soak.step()
        if number % PAUSE_EVERY == 0 or number == steps:
            problems = soak.check()
            soak.given_away.clear()
            checks += 1
            if problems:
                print(f"seed {seed}, after step {number}: {len(problems)} problems")
                for problem in problems[:20]:
                    print(f"  {problem}")
                names = {problem.split(":")[0] for problem in problems}
                log = (local.instance.state / "runtime" / NAMESPACE / "edge-expose.log").read_text().splitlines()
                told = [line for line in log if any(f"edge1/{name}" in line for name in names)]
                print("what the module's log says of them, last lines:")
                print("\n".join((told or log)[-25:]))
                print("what was done to them:")
                print("\n".join(line for line in soak.history[-400:] if any(name in line for name in names)))
                return 1
    footprint = soak.footprint()
    print(f"seed {seed}: {steps} steps, {checks} quiet checks, {time.monotonic() - started:.0f} s: all held")
    for what, count in sorted(soak.counts.items()):
        print(f"  {count:5}  {what}")
    print(
        f"  {soak.moved_with_cause:5}  addresses moved with a cause (out of range, or given away while deleted by hand)"
    )
    print(f"  module at the end: {footprint['threads']} threads, {footprint['files']} files, {footprint['MiB']} MiB")
    limits = {"threads": 60, "files": 60, "MiB": 200}
    over = [f"{name} {footprint[name]} > {limit}" for name, limit in limits.items() if footprint[name] > limit]
    if over:
        print(f"  too much: {', '.join(over)}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
