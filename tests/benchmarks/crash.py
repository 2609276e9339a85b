"""`make crash SEED=n`: kill -9 at seeded points of an apply to 20 devices; run again; same end, and never a gap.

Half of the points hit set modules (one spec, device by device), half an automatic deployment that is replaced. The hub
is the local one, the killed process is the real command line over the real SDK. After each kill the hub evaluates, and
every device must still have every exposure, in its old or its new form; after the second run all have the new form, one
deployment is live, no lease is left, and a plan has nothing to change.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.fleet import connected, make_devices
from support.hub import RunningHub, child_environment, start_hub

DYING = Path(__file__).resolve().parents[1] / "support" / "dying.py"
WARM = {"each": 2, "fleet": 5}
EXPOSURES = ("api", "shop")


def each_text(version: int) -> str:
    return f"""
schemaVersion: "1.0"
name: each
target: {{device: "${{deviceId}}"}}
modules: {{web: {{image: "a/web:{version}"}}}}
exposures:
  shop: {{module: web, ports: ["{8000 + version}:80"]}}
  api: {{module: web, ports: ["{9000 + version}:81"]}}
"""


def fleet_text(version: int) -> str:
    return (
        each_text(version)
        .replace("name: each", "name: north")
        .replace('target: {device: "${deviceId}"}', "target: {condition: \"tags.site='north'\", priority: 10}")
    )


@dataclass
class World:
    """The hub, its devices, and the commands run against it."""

    hub: RunningHub
    folder: Path
    single: list[str]
    fleet: list[str]
    calls: int = 0
    kills: dict[str, int] = field(default_factory=dict)

    def command(self, number: int, when: str, *arguments: str) -> tuple[int, str]:
        count = self.folder / "count"
        environment = child_environment(
            IOTHUB_CONNECTION_STRING=self.hub.connection_string.strip(),
            EDGE_EXPOSE_HUB_CA=str(self.hub.ca),
            XDG_STATE_HOME=str(self.folder / "xdg"),
            HOME=os.environ.get("HOME", "/"),
            DYING_COUNT=str(count),
        )
        command = [sys.executable, str(DYING), str(number), when, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode >= 0:
            self.calls = int(count.read_text())
        return done.returncode, done.stdout + done.stderr

    def apply(self, kind: str, version: int, number: int = 0, when: str = "before") -> tuple[int, str]:
        path = self.folder / f"{kind}.yaml"
        path.write_text(each_text(version) if kind == "each" else fleet_text(version))
        chosen = [part for device in self.single for part in ("--device", device)] if kind == "each" else []
        return self.command(number, when, "apply", str(path), "--yes", "--allow", "removals=9", *chosen)

    def versions(self, kind: str) -> dict[str, set[tuple[str, int]]]:
        """Device -> {(exposure, version)} as its twin has it now."""
        hub = connected(self.hub)
        found = {}
        for device in self.single if kind == "each" else self.fleet:
            twin = hub.module_twin(device, "edge-expose")
            exposures: dict[str, Any] = twin.desired.get("exposures", {}) if twin is not None else {}
            found[device] = {
                (name, int(str(entry["ports"][0]).split(":")[0]) % 1000) for name, entry in exposures.items()
            }
        return found

    def problems_between(self, kind: str, old: int, new: int) -> list[str]:
        self.hub.control("POST", "/evaluate")
        wrong = []
        for device, versions in self.versions(kind).items():
            if tuple(sorted(name for name, _ in versions)) != EXPOSURES or {v for _, v in versions} not in (
                {old},
                {new},
            ):
                wrong.append(f"a gap: {device} has {sorted(versions)} between versions {old} and {new}")
        return wrong

    def problems_after(self, kind: str, new: int) -> list[str]:
        self.hub.control("POST", "/evaluate")
        wrong = [
            f"{device} ends with {sorted(versions)}, not version {new}"
            for device, versions in self.versions(kind).items()
            if versions != {(name, new) for name in EXPOSURES}
        ]
        hub = connected(self.hub)
        if kind == "each":
            twins = [hub.device_twin(device) for device in self.single]
            wrong += [
                f"a lease is left on {twin.device_id}" for twin in twins if twin and "edgeExposeLease" in twin.tags
            ]
        else:
            live = [item.id for item in hub.deployments() if "edgeExposeRetired" not in item.labels]
            kept = [item.id for item in hub.deployments() if "edgeExposeRetired" in item.labels]
            if len(live) != 1 or len(kept) > 3:
                wrong.append(f"{len(live)} live and {len(kept)} kept deployments")
        return wrong


def run(points: int, devices: int, seed: int, folder: Path, told: Any = print, warm_up: dict[str, int] = WARM) -> int:
    """The number of things that were wrong."""
    chance = random.Random(seed)
    hub = start_hub(folder)
    try:
        world = World(
            hub,
            folder,
            [f"set-{number:02d}" for number in range(devices)],
            [f"fleet-{number:02d}" for number in range(devices)],
        )
        make_devices(hub, world.single, "none")
        make_devices(hub, world.fleet, "north")
        wrong: list[str] = []
        lengths = {}
        for kind in ("each", "fleet"):
            # Until the oldest retired deployment is deleted as well: then an apply makes all the calls there are.
            for warm in range(1, warm_up[kind] + 1):
                code, text = world.apply(kind, warm)
                assert code == 0, text
            lengths[kind] = world.calls
            told(f"{kind}: an apply is {world.calls} calls of the hub")
        version = dict(warm_up)
        for point in range(points):
            kind = "each" if point % 2 == 0 else "fleet"
            number, when = chance.randint(1, lengths[kind]), chance.choice(["before", "after"])
            old, new = version[kind], version[kind] + 1
            started = time.monotonic()
            code, text = world.apply(kind, new, number, when)
            killed = code < 0
            world.kills[kind] = world.kills.get(kind, 0) + killed
            here = [] if killed else [f"not killed (exit {code}): {text[-300:]}"]
            here += world.problems_between(kind, old, new)
            code, text = world.apply(kind, new)
            here += [] if code == 0 else [f"the second run: exit {code}: {text[-400:]}"]
            here += world.problems_after(kind, new)
            version[kind] = new
            told(
                f"{point + 1:3}/{points} {kind:5} killed {when} call {number:3}: "
                f"{'as it must be' if not here else '; '.join(here)} ({time.monotonic() - started:.1f} s)"
            )
            wrong += here
        totals = {"seed": seed, "points": points, "devices": devices, "kills": world.kills, "wrong": len(wrong)}
        told(json.dumps(totals))
        return len(wrong)
    finally:
        hub.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--devices", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-expose-crash-") as folder:
        return 1 if run(given.points, given.devices, given.seed, Path(folder)) else 0


if __name__ == "__main__":
    raise SystemExit(main())
