"""A child process of a test: the module on a fake cluster with one desired document, and the most memory it took.

Reads `{"state": folder, "document": desired section or null}` from standard input; null means a start from the state
file alone, with the hub away. Prints the peak resident memory in MB, how many Services there are, and the states.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import edge_expose_module.__main__  # noqa: F401  what the real process has loaded counts
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.controller import Controller, Identity
from edge_expose_module.desired.rails.model import Guards
from support.bench import OWNER, NoMeasures, NoWatches, nobody_answers
from support.fake_cluster import FakeCluster
from support.fake_twin import FakeTwin


def main() -> None:
    order = json.load(sys.stdin)
    twin = FakeTwin(order["document"])
    twin.away = order["document"] is None
    cluster = FakeCluster("10.0.0.0-10.0.15.255")
    controller = Controller(
        Identity(OWNER, "1.0.0", "edge1"),
        cluster,
        twin,
        StateFile(Path(order["state"])),
        Guards(),
        NoMeasures(),
        nobody_answers,
        now=lambda: datetime(2026, 11, 22, 4, 0, tzinfo=UTC),
        watches=NoWatches(),
    )

    async def passes() -> None:
        for _ in range(3):
            await controller.reconcile()

    asyncio.run(passes())
    states = Counter((str(status.state), status.reason or "") for status in controller.result.statuses.values())
    answer = {
        "megabytes": _peak_kilobytes() / 1024,
        "services": len(cluster.services),
        "states": sorted([*key, count] for key, count in states.items()),
    }
    print(json.dumps(answer))


def _peak_kilobytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
