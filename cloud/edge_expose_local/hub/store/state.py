"""The hub's records in memory, which of them changed, and what must be told to whom. No I/O.

Operations on it live in registry/, deployments/ and jobs/. Whoever calls one commits
`take_changes()` to disk and only then delivers `take_effects()` and answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edge_expose_local.hub.records.configurations import Configuration, SiblingRule
from edge_expose_local.hub.records.edgehub import DeviceCache
from edge_expose_local.hub.records.identities import Identity, TwinKey
from edge_expose_local.hub.records.jobs import DeviceJob, Job, iso
from edge_expose_local.hub.records.twins import Twin

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DesiredChanged:
    """The patch as a connected and subscribed module receives it, without `$version`."""

    key: TwinKey
    patch: JsonObject
    version: int


@dataclass(frozen=True, slots=True)
class IdentityClosed:
    """The identity was deleted, disabled or got other keys: its connection must end; `forget` drops its session too."""

    key: TwinKey
    forget: bool


Effect = DesiredChanged | IdentityClosed


class _Record(Protocol):
    def to_json(self) -> JsonObject: ...


@dataclass(slots=True)
class Settings:
    """Switches that change what kind of hub this is, kept on disk."""

    siblings: SiblingRule = "keep"
    strict_replies: bool = True
    concurrent_jobs: int = 1


@dataclass(slots=True)
class HubState:
    clock: Callable[[], float] = time.time
    identities: dict[TwinKey, Identity] = field(default_factory=dict)
    twins: dict[TwinKey, Twin] = field(default_factory=dict)
    configurations: dict[str, Configuration] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    device_jobs: dict[str, dict[str, DeviceJob]] = field(default_factory=dict)
    sessions: dict[TwinKey, dict[str, int]] = field(default_factory=dict)
    offline: dict[str, DeviceCache] = field(default_factory=dict)
    connected: set[TwinKey] = field(default_factory=set)
    settings: Settings = field(default_factory=Settings)
    evaluation_wanted: bool = False
    _dirty: dict[tuple[str, str], None] = field(default_factory=dict)
    _effects: list[Effect] = field(default_factory=list)
    _modules: dict[str, dict[str, None]] = field(default_factory=dict)

    def now(self) -> str:
        return iso(self.clock())

    # -- changes ---------------------------------------------------------------------------------------------------

    def mark(self, kind: str, key: TwinKey | str) -> None:
        self._dirty[kind, _disk_key(key)] = None

    def tell(self, effect: Effect) -> None:
        self._effects.append(effect)

    def take_changes(self) -> list[tuple[str, str, JsonObject | None]]:
        """(kind, key, record or None for gone) of everything that changed since the last call."""
        changes = [(kind, key, self._record(kind, key)) for kind, key in self._dirty]
        self._dirty.clear()
        return changes

    def take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _record(self, kind: str, key: str) -> JsonObject | None:
        record: _Record | None
        match kind:
            case "identity":
                record = self.identities.get(_memory_key(key))
            case "twin":
                record = self.twins.get(_memory_key(key))
            case "configuration":
                record = self.configurations.get(key)
            case "job":
                record = self.jobs.get(key)
            case "device_job":
                job, _, device = key.partition("\n")
                record = self.device_jobs.get(job, {}).get(device)
            case "offline":
                record = self.offline.get(key)
            case "session":
                subscriptions = self.sessions.get(_memory_key(key))
                return None if subscriptions is None else dict(subscriptions)
            case "settings":
                return asdict(self.settings)
            case _:
                raise ValueError(f"unknown record kind {kind}")
        return None if record is None else record.to_json()

    def load(self, read: Callable[[str], Mapping[str, JsonObject]]) -> None:
        """Fills an empty state from `read(kind) -> {key: record}`."""
        for record in read("identity").values():
            self.add_identity(Identity.from_json(record))
        self.twins = {_memory_key(key): Twin.from_json(record) for key, record in read("twin").items()}
        self.configurations = {key: Configuration.from_json(record) for key, record in read("configuration").items()}
        self.jobs = {key: Job.from_json(record) for key, record in read("job").items()}
        self.device_jobs = {key: {} for key in self.jobs}
        for record in read("device_job").values():
            self.device_jobs.setdefault(record["job"], {})[record["device"]] = DeviceJob.from_json(record)
        self.sessions = {_memory_key(key): dict(record) for key, record in read("session").items()}
        self.offline = {key: DeviceCache.from_json(record) for key, record in read("offline").items()}
        for record in read("settings").values():
            self.settings = Settings(**record)
        self._dirty.clear()

    # -- identities and their twins --------------------------------------------------------------------------------

    def add_identity(self, identity: Identity) -> None:
        self.identities[identity.key] = identity
        if identity.module is None:
            self._modules.setdefault(identity.device, {})
        else:
            self._modules.setdefault(identity.device, {})[identity.module] = None
        self.mark("identity", identity.key)

    def remove_identity(self, key: TwinKey) -> None:
        del self.identities[key]
        self.twins.pop(key, None)
        self.sessions.pop(key, None)
        if key.module is None:
            self._modules.pop(key.device, None)
            if self.offline.pop(key.device, None) is not None:
                self.mark("offline", key.device)
        else:
            self._modules[key.device].pop(key.module, None)
        for kind in ("identity", "twin", "session"):
            self.mark(kind, key)
        self.tell(IdentityClosed(key, forget=True))

    def devices(self) -> list[Identity]:
        return [self.identities[key] for key in sorted(TwinKey(device) for device in self._modules)]

    def modules_of(self, device: str) -> list[Identity]:
        return [self.identities[TwinKey(device, module)] for module in sorted(self._modules.get(device, ()))]

    def connection_state(self, key: TwinKey) -> str:
        """As the cloud sees it: nothing of a device whose edgeHub has no uplink is connected.

        An edge device never signs in as itself, only its modules do, so that its own state stays Disconnected
        (Azure/iotedge#80 and #809, Azure/azure-iot-sdk-csharp#567).
        """
        return "Connected" if key in self.connected and key.device not in self.offline else "Disconnected"

    def twin_view(self, key: TwinKey) -> JsonObject:
        """The whole twin document as the service API and queries show it."""
        twin, identity, device = self.twins[key], self.identities[key], self.identities[TwinKey(key.device)]
        view: JsonObject = {
            "deviceId": key.device,
            **({"moduleId": key.module} if key.module is not None else {}),
            "etag": twin.etag,
            "deviceEtag": identity.etag,
            "status": "enabled" if device.enabled else "disabled",
            "statusUpdateTime": identity.status_updated,
            "connectionState": self.connection_state(key),
            "lastActivityTime": identity.last_activity,
            "cloudToDeviceMessageCount": 0,
            "authenticationType": identity.auth_type,
            "x509Thumbprint": _twin_thumbprints(identity),
            "modelId": "",
            "version": twin.version,
            "tags": twin.tags,
            "properties": {"desired": twin.desired.service_view(), "reported": twin.reported.service_view()},
        }
        if key.module is None:
            view["capabilities"] = {"iotEdge": identity.iot_edge}
            if identity.device_scope:
                view["deviceScope"] = identity.device_scope
                view["parentScopes"] = list(identity.parent_scopes)
        if twin.configurations:
            view["configurations"] = twin.configurations
        return view

    def twin_views(self, modules: bool) -> Iterable[JsonObject]:
        for key in sorted(self.twins, key=lambda item: (item.device, item.module or "")):
            if (key.module is not None) == modules:
                yield self.twin_view(key)

    def device_job_views(self) -> Iterable[JsonObject]:
        """The documents of the collection `devices.jobs`: every job's part on every device, past and scheduled."""
        for _, parts in sorted(self.device_jobs.items()):
            for _, part in sorted(parts.items()):
                yield part.view()


def _twin_thumbprints(identity: Identity) -> JsonObject:
    """Twins write these names with a capital once a thumbprint is set (measured for `mwalser/iothub`), else without."""
    names = ("PrimaryThumbprint", "SecondaryThumbprint")
    if not any(identity.thumbprints):
        names = ("primaryThumbprint", "secondaryThumbprint")
    return dict(zip(names, identity.thumbprints, strict=True))


def _disk_key(key: TwinKey | str) -> str:
    return key if isinstance(key, str) else f"{key.device}\n{key.module or ''}"


def _memory_key(text: str) -> TwinKey:
    device, _, module = text.partition("\n")
    return TwinKey(device, module or None)
