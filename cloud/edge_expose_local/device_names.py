"""What a device is called where its id cannot stand: in its cluster namespace, in label values, on disk. Pure."""

from __future__ import annotations

import hashlib
import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HASH_DIGITS = 6
_MAX = 63


def namespace_of(device: str) -> str:
    """The device's namespace: its id when that is a DNS label, else one made of it.

    IoT Hub takes ids like `Edge_3.x@y` and tells `Edge1` from `edge1`; a namespace can do neither. What is not a-z 0-9
    becomes `-`, and a short hash of the id keeps two devices from meeting in one namespace.
    """
    if _LABEL.fullmatch(device):
        return device
    digest = hashlib.sha256(device.encode()).hexdigest()[:_HASH_DIGITS]
    kept = re.sub(r"[^a-z0-9]+", "-", device.lower())[: _MAX - _HASH_DIGITS - 1].strip("-")
    return f"{kept or 'device'}-{digest}"
