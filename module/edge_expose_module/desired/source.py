"""Reads the twin when it may have changed, decides whether to believe it, and keeps the document to act on, parsed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from edge_expose_contract.identity import Code
from edge_expose_contract.parsing import DesiredDocument, Refusal, parse_desired
from edge_expose_module.desired.causes import Causes
from edge_expose_module.desired.stale_reads import Belief, believe
from edge_expose_module.desired.twin import TwinLink, TwinSections, TwinUnavailable
from edge_expose_module.state.store import Keeper

log = logging.getLogger(__name__)


class DesiredSource:
    """`document` is the last good one, None before the first; `refusal` says why the twin's present one is not it."""

    def __init__(self, twin: TwinLink, keeper: Keeper) -> None:
        self.document: DesiredDocument | None = None
        self.refusal: Refusal | None = None
        self.changed = True
        """The twin may have changed: the next `read` looks. Set from any thread."""
        self.reported: Mapping[str, Any] | None = None
        """What the twin holds of our report, None while that is not known."""
        self.has_read = False
        """The twin was read and believed since the start: the document is not only what the disk knew."""
        self.causes = Causes()
        self._twin = twin
        self._keeper = keeper
        self._belief = Belief(keeper.memory.version)
        if keeper.memory.document is not None:
            known = _parse(keeper.memory.document)
            self.document = known if isinstance(known, DesiredDocument) else None
            change = self.document.change if self.document is not None else None
            self.causes.resume(keeper.memory.document, change, keeper.memory.since)

    @property
    def version(self) -> int:
        """`$version` of the desired properties last believed."""
        return self._belief.version

    async def read(self) -> None:
        """Takes in the twin if it must be looked at; one that is away or refused leaves the last good document."""
        if not self.changed and self.reported is not None:
            return
        sections = await self._sections()
        if sections is None:
            return
        result = _parse(sections.desired)
        if isinstance(result, Refusal):
            self.refusal = result
            log.warning("desired properties refused with %s: %s", result.code, result.description)
            return
        self.refusal = None
        self.document = result
        keeper = self._keeper
        self.causes.accept(keeper.memory.document, sections.desired, result.change)
        keeper.memory = keeper.memory.accepted(sections.desired, sections.version, result)

    async def _sections(self) -> TwinSections | None:
        self.changed = False
        try:
            sections = await self._twin.read()
        except TwinUnavailable as error:
            log.debug("twin not read: %s", error)
            self.reported = None
            return None
        if self.reported is None:
            self._keeper.memory = self._keeper.memory.learn_reported(sections.reported)
        self.reported = sections.reported
        self._belief, act = believe(self._belief, sections.version, sections.desired)
        if not act:
            log.warning("the twin went back to version %d: waiting for a second equal read", sections.version)
            self.changed = True
            return None
        self.has_read = True
        return sections


def _parse(desired: object) -> DesiredDocument | Refusal:
    try:
        return parse_desired(desired)
    except Exception as error:  # a gap in our checks: the document is refused, what runs stays
        log.exception("the desired properties cannot be read")
        return Refusal(Code.FAILED, f"the module cannot read this document: {type(error).__name__}")
