"""`python measured_module.py`: the real controller with its watches on a real API, measured; answers JSON on stdout.

The order on stdin is JSON: `kubeconfig`, `namespace`, `state` (a folder), `desired`, `edit` (a merge patch of the
desired properties). Its twin is one in memory, so that what is measured is the module and the API alone. Times are
seconds; CPU is that of this process, user and system.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_expose_contract.identity import owner_id
from edge_expose_module.__main__ import WRITERS
from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.controller import Controller, Identity
from edge_expose_module.desired.rails.model import Guards
from support.bench import NoMeasures, nobody_answers
from support.fake_twin import FakeTwin

SETTLE_SECONDS = 120.0


class CountingApi(KubernetesApi):
    """Counts the requests that are sent, by what they are."""

    def __init__(self, kubeconfig: Path, keys: Path) -> None:
        super().__init__(kubeconfig, keys)
        self.sent: Counter[str] = Counter()

    def _send(self, method: str, path: str, query: Mapping[str, str] | None = None, *rest: Any, **more: Any) -> Any:
        what = "watch" if (query or {}).get("watch") else "read" if method == "GET" else "write"
        self.sent[what] += 1
        return super()._send(method, path, query, *rest, **more)


class Measured:
    def __init__(self, order: Mapping[str, Any]) -> None:
        state = Path(order["state"])
        self.api = CountingApi(Path(order["kubeconfig"]), state)
        self.twin = FakeTwin(order["desired"])
        self.exposures = len(order["desired"]["exposures"])
        self.controller = Controller(
            Identity(owner_id("hub.test", order["namespace"]), "1.0.0", order["namespace"]),
            self.api,
            self.twin,
            StateFile(state),
            Guards(),
            NoMeasures(),
            nobody_answers,
            now=lambda: datetime.now(UTC),
            writers=WRITERS,
        )

    async def span(self, act: Callable[[], Awaitable[object]]) -> dict[str, float]:
        sent, cpu, start = Counter(self.api.sent), time.process_time(), time.perf_counter()
        await act()
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
        return {"seconds": seconds, "cpu": used, **(self.api.sent - sent)}

    async def one_pass(self) -> None:
        await self.controller.reconcile()

    async def until_quiet(self) -> None:
        """Passes until every exposure is Ready and two in a row asked the API for nothing."""
        ends, quiet = time.monotonic() + SETTLE_SECONDS, 0
        while quiet < 2:
            assert time.monotonic() < ends, self.twin.reported.get("summary")
            await asyncio.sleep(0.25)
            before = sum(self.api.sent.values())
            await self.one_pass()
            # Whoever waits for the load balancer asks for nothing either: its watch will tell.
            waits = self.twin.reported["summary"]["ready"] != self.exposures
            quiet = 0 if waits or sum(self.api.sent.values()) != before else quiet + 1


async def measure(order: Mapping[str, Any]) -> dict[str, Any]:
    begun = time.process_time()
    module = Measured(order)
    found: dict[str, Any] = {"first": await module.span(module.one_pass)}
    found["started_cpu"] = time.process_time()  # with the imports, from the start of the process
    found["built_cpu"] = time.process_time() - begun
    await module.until_quiet()
    idle = [await module.span(module.one_pass) for _ in range(5)]
    found["idle"] = sorted(idle, key=lambda span: span["cpu"])[2] | {"calls": sum(_calls(span) for span in idle) / 5}
    if order.get("edit"):
        module.twin.patch_desired(order["edit"])
        module.controller.wake_for_twin()
        found["edit"] = await module.span(module.one_pass)
        await module.until_quiet()
    found["mib"] = _resident_mib()
    found["summary"] = module.twin.reported["summary"]
    found["status"] = [module.twin.reported["lastDesiredStatus"], module.twin.reported.get("warnings")]
    return found


def _calls(span: Mapping[str, float]) -> float:
    return sum(span.get(what, 0) for what in ("read", "write", "watch"))


def _resident_mib() -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


if __name__ == "__main__":
    json.dump(asyncio.run(measure(json.load(sys.stdin))), sys.stdout)
