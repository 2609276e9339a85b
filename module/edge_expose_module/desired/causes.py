"""Which exposures a new document changed, and whose it is, until what follows from it has settled. No I/O.

A state change counts as the document's from the time the document is accepted until a pass finds the exposure in
another state than Pending; what happens after that the world did.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from edge_expose_contract.merging import same_json
from edge_expose_contract.models import Change
from edge_expose_module.state.history import UNKNOWN, Author

Document = Mapping[str, Any]
_CHANGE: Final = "change"
# Says nothing of any exposure.
_BESIDE: Final = frozenset({_CHANGE, "schemaVersion", "exposures"})


class Causes:
    """`authors` are those of exposures that have not settled; `fresh` are exposures that a document changed since the
    last pass that decided, and `redeclared` those of them that it says other things of than before."""

    def __init__(self) -> None:
        self.authors: dict[str, Author] = {}
        self.fresh: set[str] = set()
        self.redeclared: set[str] = set()

    def accept(self, before: Document | None, after: Document, change: Change | None) -> None:
        """A document that is believed, beside the one before it."""
        names = touched(before, after)
        self.authors.update(dict.fromkeys(names, author_of(before, after, change)))
        self.fresh |= names
        self.redeclared |= redeclared(before, after)

    def resume(self, document: Document, change: Change | None, known: Collection[str]) -> None:
        """After a start: exposures of the last document of which nothing was told yet, since we were killed before."""
        names = _exposures(document).keys() - set(known)
        self.authors.update(dict.fromkeys(names, author_of(None, document, change)))

    def settle(self, pending: Collection[str]) -> None:
        """After a pass that made a plan; `pending` are the exposures that it left Pending."""
        self.authors = {name: author for name, author in self.authors.items() if name in pending}
        self.fresh.clear()
        self.redeclared.clear()


def touched(before: Document | None, after: Document) -> frozenset[str]:
    """Exposures of which two documents say something else: all of them where the rest differs, such as `site`."""
    if before is None:
        return frozenset(_exposures(after))
    old, new = _exposures(before), _exposures(after)
    names = frozenset({*old, *new})
    if not same_json(_rest(before), _rest(after)):
        return names
    return frozenset(name for name in names if name not in old or name not in new) | redeclared(before, after)


def redeclared(before: Document | None, after: Document) -> frozenset[str]:
    """Exposures that two documents have and describe in different ways."""
    old, new = _exposures(before or {}), _exposures(after)
    return frozenset(name for name in old.keys() & new.keys() if not same_json(old[name], new[name]))


def author_of(before: Document | None, after: Document, change: Change | None) -> Author:
    """Who wrote `after`. A `change` that was there before is of an earlier writer: who edits a twin by hand leaves it
    as it is."""
    if change is None or (before is not None and same_json(before.get(_CHANGE), after.get(_CHANGE))):
        return UNKNOWN
    return Author(change.by, change.at, change.note)


def _exposures(document: Document) -> Document:
    found = document.get("exposures")
    return {name: body for name, body in found.items() if body is not None} if isinstance(found, Mapping) else {}


def _rest(document: Document) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _BESIDE and not key.startswith("$")}
