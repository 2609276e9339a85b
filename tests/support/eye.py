"""Looks at a Service all the time: every address and every version it ever had."""

from __future__ import annotations

import threading
from typing import Any, Protocol


class Seen(Protocol):
    """What can show a Service."""

    def service(self, name: str) -> dict[str, Any]: ...


class Eye:
    """`addresses` and `versions` in the order seen, each once as long as it stays; '' where there is none."""

    def __init__(self, bench: Seen, name: str) -> None:
        self.addresses: list[str] = []
        self.versions: list[str] = []
        self._look = lambda: bench.service(name)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Eye:
        self._see()  # what there is when it begins, and when it ends, is seen however short the time between
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._see()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self._see()

    def _see(self) -> None:
        body = self._look()
        ingress = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
        version = str((body.get("metadata") or {}).get("resourceVersion", ""))
        for seen, now in ((self.addresses, ingress[0].get("ip", "")), (self.versions, version)):
            if not seen or seen[-1] != now:
                seen.append(now)
