"""What edgeHub remembers of a device's twins while it has no uplink, and what it does when it comes back. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from edge_expose_local.hub.records.twins import Twin, difference, merge

JsonObject = dict[str, Any]


@dataclass(slots=True)
class StoredTwin:
    """The twin as last seen from the cloud, the reported patches acknowledged since, waiting to be sent up."""

    desired: JsonObject
    desired_version: int
    reported: JsonObject
    reported_version: int
    pending: list[JsonObject] = field(default_factory=list)

    @classmethod
    def of(cls, twin: Twin) -> StoredTwin:
        return cls(
            copy.deepcopy(twin.desired.value),
            twin.desired.version,
            copy.deepcopy(twin.reported.value),
            twin.reported.version,
        )

    def module_view(self) -> JsonObject:
        return {
            "desired": {**self.desired, "$version": self.desired_version},
            "reported": {**self.reported, "$version": self.reported_version},
        }

    def report(self, patch: JsonObject) -> int:
        self.reported = merge(self.reported, patch)
        self.reported_version += 1
        self.pending.append(patch)
        return self.reported_version

    def catch_up(self, twin: Twin) -> JsonObject | None:
        """The one computed patch a module gets on return, or None when the cloud's desired section did not move."""
        if twin.desired.version == self.desired_version:
            return None
        return difference(self.desired, twin.desired.value)


@dataclass(slots=True)
class DeviceCache:
    """All twins of one device that is cut off from the cloud, by module id ('' is the device itself)."""

    twins: dict[str, StoredTwin] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        return {
            name: [twin.desired, twin.desired_version, twin.reported, twin.reported_version, twin.pending]
            for name, twin in self.twins.items()
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> DeviceCache:
        return cls({name: StoredTwin(*values) for name, values in data.items()})
