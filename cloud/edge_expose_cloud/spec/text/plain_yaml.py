"""Reads YAML that is plainly written (nearly every spec and inventory) by libyaml: forty times as fast as pure Python.

Plainly written: no tags, anchors, aliases, directives, tabs or texts of several lines, no number or date in an odd
form, no key twice, and no mistake. Of anything else this says nothing, and who asked reads it the longer way, which has
the last word on what YAML means. libyaml gives events alone: what a word or a number is follows YAML 1.2 here, not the
rules of 1.1 (where `22:22` is 1342, `on` is true and `017` is 15) that libyaml's users mostly follow. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from edge_expose_cloud.spec.text.documents import MAX_DEPTH, MAX_NODES

try:
    import yaml
    from yaml._yaml import CParser
except ImportError:  # PyYAML came without libyaml
    HAS_LIBYAML = False
else:
    HAS_LIBYAML = True

# Tabs, other line ends, byte order marks, control characters, halves of pairs; and directives.
_ODD_TEXT = re.compile("[^\n -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|^%", re.M)
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_STARTS: Final = frozenset("~nNtTfF0123456789+-.=<")
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,300}\.[0-9]{0,300}")
# More than YAML takes for a number, a time, a merge or a default value.
_PERHAPS = re.compile(
    r"[-+]?[0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?|[-+]?0[box][0-9a-fA-F_]*|[-+]?\.[a-zA-Z]{3}|[0-9]{4}-.*|=|<<"
)
_KEY_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,300}")


def read_plain_yaml(text: str) -> tuple[Any, dict[str, int]] | None:
    """The data, and the line of each path; None for text that is not plainly written."""
    if not HAS_LIBYAML or _ODD_TEXT.search(text):
        return None
    try:
        return _Reader(text).document()
    except (_NotPlain, yaml.YAMLError, RecursionError):
        return None


class _NotPlain(Exception):
    pass


class _Reader:
    def __init__(self, text: str) -> None:
        self._event: Callable[[], Any] = CParser(text).get_event
        self._lines: dict[str, int] = {}
        self._left = MAX_NODES

    def document(self) -> tuple[Any, dict[str, int]]:
        self._event()  # the stream's start
        if type(self._event()) is not yaml.DocumentStartEvent:
            raise _NotPlain
        data = self._value(self._event(), "", MAX_DEPTH)
        if data is None:
            raise _NotPlain
        if self._event().explicit or type(self._event()) is not yaml.StreamEndEvent:
            raise _NotPlain
        return data, self._lines

    def _value(self, event: Any, path: str, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth < 0 or event.anchor is not None:
            raise _NotPlain
        kind = type(event)
        if kind is yaml.AliasEvent or event.tag is not None:
            raise _NotPlain
        self._lines.setdefault(path, event.start_mark.line + 1)
        if kind is yaml.ScalarEvent:
            return _scalar(event)
        return self._mapping(path, depth) if kind is yaml.MappingStartEvent else self._sequence(path, depth)

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while type(key := self._event()) is not yaml.MappingEndEvent:
            name = _key(key)
            if name in found:
                raise _NotPlain
            place = f"{path}.{name}" if path else name
            # The line of the key, not of the value: a block value starts one line later.
            self._lines.setdefault(place, key.start_mark.line + 1)
            found[name] = self._value(self._event(), place, depth - 1)
        return found

    def _sequence(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while type(item := self._event()) is not yaml.SequenceEndEvent:
            found.append(self._value(item, f"{path}[{len(found)}]", depth - 1))
        return found


def _scalar(event: Any) -> Any:
    if event.start_mark.line != event.end_mark.line or event.style in ("|", ">"):
        raise _NotPlain
    text: str = event.value
    if not event.implicit[0] or (text and text[0] not in _STARTS):
        return text  # quoted, or a word like any other
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _PERHAPS.fullmatch(text):
        raise _NotPlain
    return text


def _key(event: Any) -> str:
    if type(event) is not yaml.ScalarEvent or event.anchor is not None or event.tag is not None:
        raise _NotPlain
    text: str = event.value
    if not isinstance(_scalar(event), str) and not _KEY_NUMBER.fullmatch(text):
        raise _NotPlain
    return text
