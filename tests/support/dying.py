"""`python dying.py NUMBER before|after ARGUMENTS...`: the command line, killed (SIGKILL) at that call of the hub.

`before`: the call is not made; `after`: it was made and answered, and nobody heard the answer. Number 0 never dies. The
number of calls made is written to the file in DYING_COUNT.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from edge_expose_cloud.adapters.iothub import Credentials, IotHub, Pace
from edge_expose_cloud.cli import main
from edge_expose_cloud.cli.shared.options import HUB_FACTORY

_CALLS = frozenset(
    {
        "device_twin",
        "module_twin",
        "patch_module_twin",
        "patch_device_tags",
        "apply_content",
        "deployments",
        "create_deployment",
        "update_deployment",
        "delete_deployment",
        "targeted_devices",
    }
)


class DyingHub:
    """A hub adapter whose process dies at one call."""

    def __init__(self, inner: IotHub, number: int, when: str) -> None:
        self._inner = inner
        self._number = number
        self._when = when
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _CALLS:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            fatal = self.calls == self._number
            if fatal and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = found(*arguments, **options)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


if __name__ == "__main__":
    credentials = Credentials(
        connection_string=os.environ["IOTHUB_CONNECTION_STRING"], ca_file=os.environ["EDGE_EXPOSE_HUB_CA"]
    )
    hub = DyingHub(IotHub(credentials, pace=Pace(units=200)), int(sys.argv[1]), sys.argv[2])
    HUB_FACTORY.set(lambda *options: hub)
    sys.argv = ["edge-expose", *sys.argv[3:]]
    try:
        main()
    finally:
        count = os.environ.get("DYING_COUNT")
        if count:
            Path(count).write_text(str(hub.calls))
