"""What people and bad luck do: twin edits, hand edits and deletions, foreign Services, kills, a dropped hub."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from benchmarks.soak.record import Record
from benchmarks.soak.world import NAMESPACE, World, address_of
from edge_expose_contract.identity import LABEL_EXPOSURE
from edge_expose_module.cluster.api import SERVICES, NotFound

Step = tuple[Callable[[], object], int]


class Steps:
    """Steps with their weights, drawn from one random source."""

    def __init__(self, world: World, record: Record, chance: random.Random) -> None:
        self.world = world
        self.record = record
        self.random = chance
        environment = world.local.environment
        self.hub = IoTHubRegistryManager.from_connection_string(environment["IOTHUB_CONNECTION_STRING"])
        self.hub.protocol.config.connection.verify = environment["EDGE_EXPOSE_HUB_CA"]
        self._numbers = iter(range(1, 100000))
        self.kills = 0
        """How often the cluster was killed."""

    def weighted(self) -> list[Step]:
        return [
            (self.edit, 40),
            (self.hand_edit, 10),
            (self.hand_delete, 8),
            (self.add_foreign, 6),
            (self.remove_foreign, 4),
            (self.drop_hub, 6),
            (lambda: self.kill("hub"), 3),
            (lambda: self.kill("cluster"), 3),
            (lambda: self.kill("module"), 4),
            (lambda: self.kill("runtime"), 2),
            (lambda: time.sleep(0.2), 9),
        ]

    # --- the twin ---

    def edit(self) -> None:
        name = f"e{self.random.randrange(12)}"
        if name in self.record.wishes and self.random.random() < 0.25:
            self.patch({name: None})
            self.record.withdraw(name)
            self.record.counts["exposures removed"] += 1
            return
        wish: dict[str, Any] = {"module": "idle", "ports": [f"{self.random.randrange(1000, 1100)}:8080"]}
        roll = self.random.random()
        if roll < 0.15:
            wish["address"] = self.world.local.address(self.random.choice([*range(10, 40), *range(60, 66)]))
        elif roll < 0.25:
            wish["type"] = "ClusterIP"
        elif roll < 0.35:
            wish["ports"].append("53:8080/udp")
        elif roll < 0.4:
            wish = {"module": "idle", "ports": ["not a port"]}
        self.change(name, wish)
        self.record.counts["exposures edited"] += 1

    def change(self, name: str, wish: dict[str, Any]) -> None:
        removed = {key: None for key in self.record.wishes.get(name, {}) if key not in wish}
        self.patch({name: {**wish, **removed}})
        self.record.wish(name, wish)

    def patch(self, exposures: dict[str, Any]) -> None:
        self.record.note(f"edit {exposures}")
        desired = TwinProperties(desired={"exposures": exposures})
        self.hub.update_module_twin(NAMESPACE, "edge-expose", Twin(properties=desired), "*")

    # --- Services ---

    def ours(self) -> list[dict[str, Any]]:
        items = self.world.api.list(SERVICES, NAMESPACE).items
        return [dict(i) for i in items if "edge-expose.io/owner" in (i["metadata"].get("labels") or {})]

    def hand_edit(self) -> None:
        for service in self.random.sample(self.ours(), k=1) if self.ours() else []:
            spec = self.random.choice(
                [{"selector": {"app": "evil"}}, {"sessionAffinity": "ClientIP"}, {"externalTrafficPolicy": "Local"}]
            )
            if service["spec"]["type"] == "ClusterIP":
                spec.pop("externalTrafficPolicy", None)
            name = service["metadata"]["name"]
            self.record.note(f"edited by hand {name} {spec}")
            self.world.api.patch(SERVICES, NAMESPACE, name, {"spec": spec})
            self.record.counts["Services edited by hand"] += 1

    def hand_delete(self) -> None:
        for service in self.random.sample(self.ours(), k=1) if self.ours() else []:
            name = service["metadata"]["name"]
            self.world.api.delete(SERVICES, NAMESPACE, name, "")
            self.record.unheld.add(service["metadata"]["labels"][LABEL_EXPOSURE])
            self.record.note(f"deleted by hand {name} {service.get('status')}")
            self.record.counts["Services deleted by hand"] += 1

    def add_foreign(self) -> None:
        name = f"foreign-{next(self._numbers)}"
        spec = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "theirs"}}
        body = {"metadata": {"name": name, "labels": {"team": "them"}}, "spec": spec}
        self.world.api.create(SERVICES, NAMESPACE, body)
        self.record.foreign[name] = spec
        self.record.counts["foreign Services made"] += 1
        time.sleep(0.1)
        if address := address_of(self.world.api.get(SERVICES, NAMESPACE, name)):
            self.record.given_away.add(address)
            self.record.note(f"{name} got {address}")

    def remove_foreign(self) -> None:
        for name in self.random.sample(sorted(self.record.foreign), k=1) if self.record.foreign else []:
            try:
                # Of a Service that is deleted while it starts, MetalLB keeps the address.
                self.record.given_away.add(address_of(self.world.api.get(SERVICES, NAMESPACE, name)))
                self.world.api.delete(SERVICES, NAMESPACE, name, "")
            except NotFound:
                self.record.violations.append(f"foreign Service {name} is gone")
            del self.record.foreign[name]
            self.record.counts["foreign Services removed"] += 1

    # --- bad luck ---

    def drop_hub(self) -> None:
        self.world.local.instance.fault("drop-connections", {})
        self.record.counts["hub drops"] += 1

    def kill(self, part: str) -> None:
        if part == "cluster":
            self.kills += 1
        if part == "cluster" and self.world.restart is not None:
            self.world.restart()
            self.record.note("the cluster was killed and started again, for every exposure")
            self.record.counts["real cluster killed and started again"] += 1
            return
        pid = self.world.local.part(part)["pid"]
        if pid:
            os.kill(int(pid), signal.SIGKILL)
            self.record.note(f"kill -9 {part}, for every exposure")
            self.record.counts[f"kill -9 {part}"] += 1
