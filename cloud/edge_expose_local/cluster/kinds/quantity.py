"""Quantities: numbers with a unit, such as 100m or 64Mi."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([+-]?\d+)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NO_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def problem(text: str) -> str:
    """Why a text is no quantity; "" for one."""
    found = _FORM.fullmatch(text)
    if found is None or found[1].count(".") > 1 or not any(letter.isdigit() for letter in found[1]):
        return _NO_QUANTITY
    known = found[2] in _DECIMAL or found[2] in _BINARY or _EXPONENT.fullmatch(found[2])
    return "" if known else "unable to parse quantity's suffix"


def value(text: str) -> Decimal:
    """The number that a quantity means."""
    found = _FORM.fullmatch(text)
    assert found is not None, text
    number, unit = Decimal(found[1]), found[2]
    if exponent := _EXPONENT.fullmatch(unit):
        return number.scaleb(int(exponent[1]))
    return number * (1 << _BINARY[unit]) if unit in _BINARY else number.scaleb(_DECIMAL[unit])
