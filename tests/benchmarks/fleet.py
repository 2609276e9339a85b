"""`make fleet N=1000`: one automatic deployment for N devices, pushed and followed to Ready, with calls counted.

20 devices are real (an edge runtime, our module and a pod each, on one local cluster), the others are light: they take
documents over real MQTT and report them done. The commands are the real command line. At the end: how long each step
took, and the calls of the hub in the busiest minute beside the quota of one S1 unit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_expose_local.hub.throttle import S1_QUOTAS
from edge_expose_local.instance import Instance
from support.local import Local
from support.waiting import eventually

SITE = "fleet"


def spec_text(port: int) -> str:
    return f"""
schemaVersion: "1.0"
name: fleet
target: {{condition: "tags.site='{SITE}'", priority: 10}}
modules: {{web: {{image: "edge-expose/echo:1"}}}}
exposures:
  shop: {{module: web, ports: ["{port}:80"]}}
  inner: {{module: web, type: ClusterIP, ports: ["8080:80"]}}
"""


def tag(local: Local, devices: list[str]) -> None:
    """The tag that the deployment's condition asks for, over the service SDK."""
    from edge_expose_cloud.adapters.iothub import Credentials, IotHub, Pace

    environment = local.instance.environment()
    hub = IotHub(
        Credentials(
            connection_string=environment["IOTHUB_CONNECTION_STRING"], ca_file=environment["EDGE_EXPOSE_HUB_CA"]
        ),
        pace=Pace(),
    )
    for device in devices:
        hub.patch_device_tags(device, {"site": SITE}, "*")


def settle(local: Local, folder: Path, devices: list[str]) -> None:
    """Each real device gets its address alone.

    They share one cluster and one pool here, which no real fleet does: all at once they would race for addresses.
    """
    path = folder / "each.yaml"
    condition = f"{{condition: \"tags.site='{SITE}'\", priority: 10}}"
    path.write_text(spec_text(7999).replace(condition, '{device: "${deviceId}"}'))
    for device in devices:
        local.run("apply", str(path), "--device", device, "--yes", "--wait", "--timeout", "60")


def busiest(instance: Instance, since: float) -> dict[str, dict[str, Any]]:
    """Operation class -> calls in total and in the busiest minute since then, beside the quota of a minute."""
    counters = instance.hub("GET", "/counters")
    result = {}
    for name, (calls, seconds) in S1_QUOTAS.items():
        minutes = {int(minute): entry.get(name, 0) for minute, entry in counters["minutes"].items()}
        recent = [count for minute, count in minutes.items() if minute >= since - 60]
        if any(recent):
            result[name] = {"total": sum(recent), "busiestMinute": max(recent), "quota": calls * 60 // seconds}
    return result


def run(count: int, real: int, block: int, folder: Path, told: Any = print) -> dict[str, Any]:
    """The totals; `problems` names what was not as it must be."""
    pool = f"127.{block}.0.10-127.{block}.0.{10 + real + 10}"
    local = Local(folder, block=block, pool=pool)
    totals: dict[str, Any] = {"devices": count, "real": real}
    problems: list[str] = []

    def step(name: str, started: float) -> None:
        totals[name] = round(time.monotonic() - started, 1)
        told(f"{name}: {totals[name]} s")

    try:
        started = time.monotonic()
        names = ["edge1", *(f"edge{number}" for number in range(2, real + 1))]
        light = [f"light-{number:04d}" for number in range(1, count - real + 1)]
        local.run("local", "devices", "add", "--state", str(local.instance.state), *names[1:])
        if light:
            local.instance.add_simulated(light)
        step("devices registered", started)
        eventually(
            lambda: len(local.instance.hub("GET", "/status")["connected"]) >= count,
            600,
            "all $edgeAgent identities connect",
        )
        step("devices connected", started)
        started = time.monotonic()
        settle(local, folder, names)
        step("real devices set up one by one", started)
        started = time.monotonic()
        tag(local, [*names, *light])
        step("devices tagged", started)
        # The calls of the preparation are not what is counted: a new minute begins.
        time.sleep(61 - time.time() % 60)
        since = time.time()
        path = folder / "fleet.yaml"
        for number, port in enumerate((8000, 8001), 1):
            path.write_text(spec_text(port))
            started = time.monotonic()
            local.run("plan", str(path), expect=3)
            step(f"plan {number}", started)
            started = time.monotonic()
            done = local.run("apply", str(path), "--yes", "--wait", "--timeout", "900", expect=None, timeout=1000)
            step(f"apply {number}, until all are Ready", started)
            for line in done.stderr.splitlines():
                told(f"    {line[:150]}")
            if done.returncode != 0:
                problems.append(f"apply {number}: exit {done.returncode}: {done.stdout[-300:]}{done.stderr[-500:]}")
        started = time.monotonic()
        local.run("plan", str(path), expect=0)
        step("plan without changes", started)
        started = time.monotonic()
        statuses = json.loads(local.run("status", "-o", "json").stdout)["devices"]
        step("status of all", started)
        ready = [item for item in statuses if item["exposures"].get("shop", {}).get("state") == "Ready"]
        totals["ready"] = len(ready)
        if len(ready) != count:
            problems.append(f"{len(ready)} of {count} devices are Ready")
        if any(item["exposures"]["shop"]["ports"] != ["8001:80/tcp"] for item in ready):
            problems.append("a device has an older document")
        totals["calls"] = busiest(local.instance, since)
        for name, calls in totals["calls"].items():
            most, quota = calls["busiestMinute"], calls["quota"]
            told(f"{name}: {calls['total']} calls, {most} in the busiest minute, quota {quota}")
            if calls["busiestMinute"] > calls["quota"]:
                problems.append(f"{name}: {calls['busiestMinute']} calls in a minute, the quota is {calls['quota']}")
    finally:
        local.stop()
    totals["problems"] = problems
    told(json.dumps(totals))
    return totals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--devices", type=int, default=1000)
    parser.add_argument("--real", type=int, default=20)
    parser.add_argument("--block", type=int, default=160)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-expose-fleet-") as folder:
        totals = run(given.devices, min(given.real, given.devices), given.block, Path(folder))
    return 1 if totals["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
