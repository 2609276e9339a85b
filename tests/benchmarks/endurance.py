"""`make renewals` and `make drops`: hundreds of SAS renewals or forced drops, with edits in between.

Each cycle edits the twin and waits until the module reports that version. Printed: missed changes, and the slope of the
module's memory over the cycles once it is warm (a straight line fitted to its resident size).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from support.local import Local

RENEWAL_SECONDS = 5.0
CHANGE_SECONDS = 30.0
SLOPE_LIMIT_KIB = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["renewals", "drops"])
    parser.add_argument("--cycles", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-expose-endurance-") as folder:
        block = {"renewals": 125, "drops": 127}[arguments.what]
        local = Local(Path(folder), block=block)
        try:
            return run(local, arguments.what, arguments.cycles)
        finally:
            local.stop()


def run(local: Local, what: str, cycles: int) -> int:
    own = {"image": "edge-expose/module:1", "env": {"EDGE_EXPOSE_SAS_TTL_SECONDS": "125"} if what == "renewals" else {}}
    modules = {"idle": {"image": "edge-expose/echo:1"}, "edge-expose": own}
    local.deploy({"web": {"module": "idle", "ports": ["1000:8080"]}}, modules)
    address = local.wait_for("web", "Ready")["address"]
    hub = IoTHubRegistryManager.from_connection_string(local.environment["IOTHUB_CONNECTION_STRING"])
    hub.protocol.config.connection.verify = local.environment["EDGE_EXPOSE_HUB_CA"]
    missed, moved, sizes, delays = 0, 0, [], []
    pid = local.part("module")["pid"]
    started = time.monotonic()
    for cycle in range(cycles):
        if what == "drops":
            local.instance.fault("drop-connections", {})
        else:
            # The token lives 125 s and the SDK renews it 120 s before its end: about one renewal in each cycle.
            time.sleep(max(0.0, started + (cycle + 1) * RENEWAL_SECONDS - time.monotonic()))
        exposure = {"web": {"module": "idle", "ports": [f"{1000 + cycle % 500}:8080"]}}
        twin = hub.update_module_twin(
            "edge1", "edge-expose", Twin(properties=TwinProperties(desired={"exposures": exposure})), "*"
        )
        edited = time.monotonic()
        entry = wait_for_version(hub, twin.properties.desired["$version"])
        if entry is None:
            missed += 1
        else:
            delays.append(time.monotonic() - edited)
            moved += entry["exposures"]["web"]["address"] != address
        sizes.append(resident_kib(pid))
        if (cycle + 1) % 50 == 0:
            print(f"  {cycle + 1} cycles, {missed} missed, {sizes[-1] / 1024:.1f} MiB", flush=True)
    same = local.part("module")["pid"] == pid
    warm = sizes[len(sizes) // 3 :]
    slope = statistics.linear_regression(range(len(warm)), warm).slope if len(warm) > 1 else 0.0
    print(f"{cycles} {what} in {time.monotonic() - started:.0f} s: {missed} missed changes, {moved} moved addresses")
    print(f"edit to report: median {statistics.median(delays):.2f} s, longest {max(delays):.2f} s")
    print(f"memory {sizes[0] / 1024:.1f} -> {sizes[-1] / 1024:.1f} MiB, slope once warm {slope:.2f} KiB a cycle")
    print(f"same process from first to last: {same}")
    return 0 if not missed and not moved and slope < SLOPE_LIMIT_KIB and same else 1


def wait_for_version(hub: Any, version: int) -> Any:
    deadline = time.monotonic() + CHANGE_SECONDS
    while time.monotonic() < deadline:
        reported = hub.get_module_twin("edge1", "edge-expose").properties.reported
        if reported.get("lastDesiredVersion") == version:
            return reported
        time.sleep(0.02)
    return None


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
