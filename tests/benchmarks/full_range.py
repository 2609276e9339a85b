"""`make full-range`: a /24 as the pool, 254 minimal exposures in one twin, all Ready; the 255th Blocked."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from edge_expose_contract.limits import section_size
from support.local import Local

COUNT = 254


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="edge-expose-full-") as folder:
        local = Local(Path(folder), block=77, pool="127.77.0.1-127.77.0.254")
        try:
            return run(local)
        finally:
            local.stop()


def run(local: Local) -> int:
    local.deploy({"e000": {"module": "idle", "ports": ["80:8080"]}}, {"idle": {"image": "edge-expose/echo:1"}})
    local.wait_for("e000", "Ready")
    hub = IoTHubRegistryManager.from_connection_string(local.environment["IOTHUB_CONNECTION_STRING"])
    hub.protocol.config.connection.verify = local.environment["EDGE_EXPOSE_HUB_CA"]

    def patch(names: list[str]) -> None:
        wanted = {name: {"module": "idle", "ports": ["80:8080"]} for name in names}
        hub.update_module_twin(
            "edge1", "edge-expose", Twin(properties=TwinProperties(desired={"exposures": wanted})), "*"
        )

    started = time.monotonic()
    patch([f"e{number:03}" for number in range(COUNT)])
    reported = wait(hub, lambda summary: summary["ready"] == COUNT)
    seconds = time.monotonic() - started
    addresses = {entry["address"] for entry in reported["exposures"].values()}
    desired = hub.get_module_twin("edge1", "edge-expose").properties.desired
    print(f"{COUNT} exposures Ready after {seconds:.1f} s, {len(addresses)} different addresses")
    sizes = f"{section_size(desired)} bytes desired, {section_size(reported)} bytes reported, of 32768 each"
    print(f"{sizes}; shortened: {reported.get('shortened', False)}")
    patch([f"e{COUNT:03}"])
    reported = wait(hub, lambda summary: summary["blocked"] == 1)
    last = reported["exposures"][f"e{COUNT:03}"]
    print(f"the next one: {json.dumps(last)}")
    good = len(addresses) == COUNT and last["reason"] == "PoolExhausted" and reported["summary"]["ready"] == COUNT
    return 0 if good else 1


def wait(hub, done) -> dict:  # type: ignore[no-untyped-def,type-arg]
    deadline = time.monotonic() + 180
    reported: dict = {}  # type: ignore[type-arg]
    while time.monotonic() < deadline:
        reported = hub.get_module_twin("edge1", "edge-expose").properties.reported
        if done(reported.get("summary", {"ready": 0, "blocked": 0})):
            return reported
        time.sleep(0.3)
    raise SystemExit(f"not in 180 s: {reported.get('summary')}, {reported.get('lastDesiredStatus')}")


if __name__ == "__main__":
    sys.exit(main())
