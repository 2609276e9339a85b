"""`make bench-loop N=30`: from a twin edit to an address that answers and is reported, on the embedded default.

Each round adds one LoadBalancer exposure by the service SDK and notes when its Service is seen by a watch, when it has
an external IP, and when the report can be read back by the service SDK. All times are of one clock, in one process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import SERVICES, Unavailable
from support.local import Local, http_get

SPANS = ("twin edit returned", "Service visible", "external IP", "reported and readable", "first answer outside")


class Watcher(threading.Thread):
    """Notes the first time each Service, and its address, is seen."""

    def __init__(self, api: KubernetesApi) -> None:
        super().__init__(daemon=True)
        self._api = api
        self.seen: dict[str, float] = {}
        self.addressed: dict[str, float] = {}
        self.addresses: dict[str, str] = {}

    def run(self) -> None:
        stop = threading.Event()
        version = self._api.list(SERVICES, "edge1").version
        while True:
            try:
                for _ in self._api.watch(SERVICES, "edge1", version, stop):
                    now = time.perf_counter()
                    listing = self._api.list(SERVICES, "edge1")
                    for item in listing.items:
                        name = item["metadata"]["name"]
                        self.seen.setdefault(name, now)
                        ingress = item.get("status", {}).get("loadBalancer", {}).get("ingress")
                        if ingress:
                            self.addresses.setdefault(name, ingress[0]["ip"])
                            self.addressed.setdefault(name, now)
            except Unavailable:
                continue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=30, help="rounds")
    rounds = parser.parse_args().n
    with tempfile.TemporaryDirectory(prefix="edge-expose-bench-") as folder:
        local = Local(Path(folder), block=119, pool="127.119.0.1-127.119.0.254")
        try:
            return measure(local, rounds)
        finally:
            local.stop()


def measure(local: Local, rounds: int) -> int:
    local.deploy({"first": {"module": "idle", "ports": ["80:8080"]}}, {"idle": {"image": "edge-expose/echo:1"}})
    local.wait_for("first", "Ready")
    hub = IoTHubRegistryManager.from_connection_string(local.environment["IOTHUB_CONNECTION_STRING"])
    hub.protocol.config.connection.verify = local.environment["EDGE_EXPOSE_HUB_CA"]
    watcher = Watcher(KubernetesApi(Path(local.environment["KUBECONFIG"]), local.folder / "keys"))
    watcher.start()
    time.sleep(0.5)
    spans: list[list[float]] = []
    for number in range(rounds):
        name = f"bench-{number}"
        exposure = {"module": "idle", "ports": [f"{1000 + number}:8080"]}
        answered: list[float] = []
        asker = threading.Thread(target=first_answer, args=(watcher, name, 1000 + number, answered), daemon=True)
        start = time.perf_counter()
        asker.start()
        hub.update_module_twin(
            "edge1", "edge-expose", Twin(properties=TwinProperties(desired={"exposures": {name: exposure}})), "*"
        )
        edited = time.perf_counter()
        reported = wait_reported(hub, name)
        while name not in watcher.addressed and time.perf_counter() - reported < 2:
            time.sleep(0.001)  # the watcher's thread may not have had its turn yet
        asker.join(10)
        moments = (edited, watcher.seen[name], watcher.addressed[name], reported, answered[0])
        spans.append([when - start for when in moments])
    print(f"{rounds} rounds on the embedded default, milliseconds after the start of the twin edit")
    for place, label in enumerate(SPANS):
        values = sorted(row[place] * 1000 for row in spans)
        print(f"  {label:<24} median {statistics.median(values):7.1f}   min {values[0]:7.1f}   max {values[-1]:7.1f}")
    return 0


def first_answer(watcher: Watcher, name: str, port: int, answered: list[float]) -> None:
    """Notes when the exposed app first answers over HTTP at its new external address."""
    deadline = time.perf_counter() + 20
    while time.perf_counter() < deadline:
        address = watcher.addresses.get(name)
        if address is None:
            time.sleep(0.001)
            continue
        try:
            http_get(f"http://{address}:{port}/")
        except OSError:
            time.sleep(0.002)
            continue
        answered.append(time.perf_counter())
        return


def wait_reported(hub: Any, name: str) -> float:
    deadline = time.perf_counter() + 20
    while time.perf_counter() < deadline:
        twin = hub.get_module_twin("edge1", "edge-expose")
        entry = twin.properties.reported.get("exposures", {}).get(name, {})
        if entry.get("state") == "Ready" and entry.get("address"):
            return time.perf_counter()
    raise SystemExit(f"{name} was not reported Ready in 20 s")


if __name__ == "__main__":
    sys.exit(main())
