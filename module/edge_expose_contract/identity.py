"""The fixed words of the contract: module id, labels, annotations, codes and states."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

MODULE_ID: Final = "edge-expose"
SCHEMA_VERSION: Final = "1.0"
SUPPORTED_MAJOR: Final = 1

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_OWNER: Final = "edge-expose.io/owner"
LABEL_EXPOSURE: Final = "edge-expose.io/exposure"
LABEL_CLAIM: Final = "edge-expose.io/claim"
"""On a Service of ours that only asks for an address on behalf of its exposure."""
MANAGED_BY: Final = "edge-expose"

# What edgeAgent puts on the pods of a module. The device label is safe in a selector and deadly on a Service of ours:
# edgeAgent deletes every Service that carries it and that it did not make.
EDGE_MODULE_LABEL: Final = "net.azure-devices.edge.module"
EDGE_DEVICE_LABEL: Final = "net.azure-devices.edge.deviceid"

HOSTNAME_ANNOTATION: Final = "external-dns.alpha.kubernetes.io/hostname"


class State(StrEnum):
    """What an exposure is, as reported to the twin."""

    READY = "Ready"
    PENDING = "Pending"
    BLOCKED = "Blocked"
    FAILED = "Failed"
    EXPIRED = "Expired"
    DISABLED = "Disabled"


class Code(StrEnum):
    """`lastDesiredStatus.code`, by edgeAgent's convention."""

    ACCEPTED = "200"
    MALFORMED = "400"
    HELD_BACK = "406"
    UNKNOWN_SCHEMA = "412"
    EMPTY = "417"
    FAILED = "500"

    @property
    def number(self) -> int:
        return int(self.value)


def owner_id(hub_hostname: str, device_id: str, module_id: str = MODULE_ID) -> str:
    """16 hex digits that mark the Services of one module identity; the hub's host name counts in lower case."""
    text = f"{hub_hostname.lower()}/{device_id}/{module_id}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
