"""The hub for pages that only show: while it does not answer, they are made of what was read last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.portal.live.cached_hub import PATIENCE_SECONDS, ReadingHub
from edge_expose_contract.identity import MODULE_ID

T = TypeVar("T")


class LastKnown(ReadingHub):
    """Shares everything with the reading hub it is made of. Never for planning: a plan needs what is there now.

    A device that the poller has read is shown even when the rest of it never was: its tags, system modules and
    deployments then count as none. One that nobody has read raises HubError as before. Made for one page, which waits
    for the hub a moment at most; `late` says that the hub took longer, so that something shown is old.
    """

    __slots__ = ("_until", "late")

    def __init__(self, of: ReadingHub) -> None:
        self.__dict__ = of.__dict__
        self._until = time.monotonic() + PATIENCE_SECONDS
        self.late = False

    def _get(self, key: tuple[str, ...], seconds: float, read: Callable[[], T], missing: T) -> T:
        kept = self._kept.get(key)
        held = kept is not None or key == ("deployments",)
        held = held or (key[-1] != MODULE_ID and ("module", key[1], MODULE_ID) in self._kept)
        if not held:
            return super()._get(key, seconds, read, missing)
        if not self.health.down:
            try:
                return self._within(key, seconds, read, max(0.0, self._until - time.monotonic()))
            except TimeoutError:
                self.late = True
            except HubError as error:
                if not error.is_transient:
                    raise
        value: T = kept[0] if kept is not None else missing
        return value
