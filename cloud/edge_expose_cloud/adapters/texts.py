"""Reads the text of a file that somebody named: a spec, a manifest, an inventory."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from edge_expose_cloud.findings.finding import Finding, finding

_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAVE_AS_UTF8 = "Save it as UTF-8; in PowerShell: Get-Content FILE | Set-Content -Encoding utf8 COPY"


def read_text(path: str) -> str | Finding:
    """The text of a file, `-` for stdin; or the finding that says why not."""
    try:
        raw = _stdin() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        return finding("FileUnreadable", "", f"{path}: {error.strerror or error}").at(path, 0)
    name = "stdin" if path == "-" else path
    other = _other_encoding(raw)
    if other:
        return finding("FileUnreadable", "", f"{name} is {other} text, not UTF-8", hint=_SAVE_AS_UTF8).at(path, 0)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        text = f"{name} is not UTF-8 text (byte {error.start})"
        return finding("FileUnreadable", "", text, hint=_SAVE_AS_UTF8).at(path, 0)


def _stdin() -> bytes:
    return sys.stdin.buffer.read()


def _other_encoding(raw: bytes) -> str:
    """UTF-16 or UTF-32, by the mark or by the zero bytes beside the first character (ASCII in JSON and YAML)."""
    for mark, name in _OTHER_ENCODINGS:
        if raw.startswith(mark):
            return name
    match list(raw[:4]):
        case [0, 0, 0, _] | [_, 0, 0, 0]:
            return "UTF-32"
        case [0, byte, *_] | [byte, 0, *_] if byte:
            return "UTF-16"
        case _:
            return ""
