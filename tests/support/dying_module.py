"""`python dying_module.py`: for each ORDER, a process of passes of the real controller on a real API, killed (SIGKILL)
at one write.

Orders come in on stdin, one a line, and the exit code of each process goes out on stdout (negative: the signal). Each
is a fork of this one, which has nothing but the imports: those take longer than all that a life is about.

ORDER is JSON: `kubeconfig`, `namespace`, `state` (a folder), `desired`, `version`, `wanted` (name -> state, address),
`number` and `when`. `before`: the write is not made; `after`: it was made, and nobody heard the answer. Writes are
those to the cluster and those of the state file. Number 0 never dies. Ends with 0 once all is reported as wanted and
nothing is left to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge_expose_contract.identity import owner_id
from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.controller import Controller, Identity
from edge_expose_module.desired.rails.model import Guards
from support.bench import NoMeasures, NoWatches, nobody_answers
from support.fake_twin import FakeTwin
from support.waiting import PATIENCE

_WRITES: Final = frozenset({"create", "patch", "delete", "save"})


class Fate:
    """Counts writes, and ends the process at one of them."""

    def __init__(self, number: int, when: str) -> None:
        self._number = number
        self._when = when
        self._writes = 0

    def over(self, inner: Any) -> Any:
        return _Fated(self, inner)

    def write(self, call: Any, *arguments: Any, **options: Any) -> Any:
        self._writes += 1
        fatal = self._writes == self._number
        if fatal and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **options)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


class _Fated:
    def __init__(self, fate: Fate, inner: Any) -> None:
        self._fate = fate
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return (lambda *a, **o: self._fate.write(found, *a, **o)) if name in _WRITES else found


async def _go(order: dict[str, Any]) -> int:
    fate, state = Fate(order["number"], order["when"]), Path(order["state"])
    twin = FakeTwin(order["desired"])
    twin.version = order["version"]
    controller = Controller(
        Identity(owner_id("hub.test", order["namespace"]), "1.0.0", order["namespace"]),
        fate.over(KubernetesApi(Path(order["kubeconfig"]), state)),
        twin,
        fate.over(StateFile(state)),
        Guards(),
        NoMeasures(),
        nobody_answers,
        now=lambda: datetime.now(UTC),
        watches=NoWatches(),
    )
    ends, pause = time.monotonic() + PATIENCE, 0.02
    while time.monotonic() < ends:
        controller.wake_for_twin()
        await controller.reconcile()
        told = twin.reported.get("exposures", {})
        found = {name: [entry["state"], entry.get("address")] for name, entry in told.items()}
        decided = controller.result.plan
        if found == order["wanted"] and decided is not None and not decided.plan.changes:
            return 0
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, 0.3)
    print(json.dumps(twin.reported))
    return 1


def _born(order: dict[str, Any]) -> int:
    """The pid of a process that lives by the order; what it has to say goes to stderr."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        code = asyncio.run(_go(order))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        _, status = os.waitpid(_born(json.loads(line)), 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
