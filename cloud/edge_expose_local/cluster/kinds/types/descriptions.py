"""What `kubectl explain` tells of types and fields: a sentence of ours for each that people look up."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

_EVERYWHERE = "*"
_FILE = Path(__file__).parent / "descriptions.json"


@cache
def descriptions() -> dict[str, dict[str, str]]:
    """For each type its own description, under "", and those of its fields."""
    found: dict[str, dict[str, str]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def description(name: str, field: str = "") -> str:
    """That of a type or of one of its fields, "" where there is none."""
    known = descriptions()
    return known.get(name, {}).get(field) or known[_EVERYWHERE].get(field, "")
