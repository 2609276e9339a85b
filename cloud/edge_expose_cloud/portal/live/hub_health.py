"""Whether the hub answers, as the poller and the pages find it: one truth for the banner and for what is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edge_expose_cloud.hub.api import HubError, HubProblem

# A probe that fails takes some seconds, and the next one waits a few: so long one failure stands for the next.
DOWN_SECONDS: Final = 10.0


class Health:
    """`problem` is what keeps the hub from answering, in words, "" when nothing does. Used from several threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kind: HubProblem | None = None
        self._failed_at = 0.0
        self.problem = ""

    @property
    def down(self) -> bool:
        """It has failed a moment ago: asking again would only make a page wait."""
        return bool(self.problem) and self._now() - self._failed_at <= DOWN_SECONDS

    def failed(self, error: HubError) -> None:
        self._failed_at = self._now()
        if self.problem and error.problem is self._kind:
            return  # each call words the same trouble differently: the first words stay
        self._kind = error.problem
        self.problem = "IoT Hub is throttling us" if error.problem is HubProblem.THROTTLED else error.message

    def worked(self) -> None:
        self.problem = ""
