"""What a Service asks of MetalLB: addresses, a pool, a sharing key. Pure."""

from __future__ import annotations

from typing import Final

from ..kinds.errors import Document
from .allocator import parse_all
from .answers import Refused
from .pools import Address

_NEW: Final = "metallb.io"
_OLD: Final = "metallb.universe.tf"


def annotation(service: Document, name: str, *, legacy: bool) -> str:
    """A request by annotation: the new prefix wins, the old version knows the old one only."""
    found = service["metadata"].get("annotations") or {}
    if not legacy and f"{_NEW}/{name}" in found:
        return str(found[f"{_NEW}/{name}"])
    return str(found.get(f"{_OLD}/{name}", ""))


def requested(service: Document, *, legacy: bool) -> list[Address]:
    """The addresses asked for, by field or annotation. Raises Refused."""
    field = str(service["spec"].get("loadBalancerIP") or "")
    text = "" if legacy else annotation(service, "loadBalancerIPs", legacy=False)
    if field and text:
        raise Refused("field-and-annotation", address=field)
    if text:
        return _of_annotation(text)
    found = parse_all([field] if field else [])
    if found is None:
        raise Refused("address-invalid", address=field)
    return found


def _of_annotation(text: str) -> list[Address]:
    found = parse_all([part.strip() for part in text.split(",")])
    if found is None:
        raise Refused("annotation-invalid", address=text)
    if len(found) > 2:
        first, second, third = found[:3]
        raise Refused("three-addresses", address=first, other=second, third=third)
    if len(found) == 2 and found[0].version == found[1].version:
        raise Refused("two-addresses-of-one-family", address=found[0], other=found[1])
    return found
