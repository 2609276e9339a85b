"""JSON from outside, read strictly: what the service would not store is no JSON here. Pure."""

from __future__ import annotations

import json
from typing import Any


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def loads(text: bytes | str) -> Any:
    """Raises ValueError also for NaN and Infinity, for lone surrogates and for nesting beyond all measure."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("the document nests too deep") from error
    return value
