"""Device and module identities: the record, its JSON form and what a client may ask for. Pure but for key making."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from edge_expose_local.hub.access import sas
from edge_expose_local.hub.errors import HubError, argument_invalid

JsonObject = dict[str, Any]
SYSTEM_MODULES = ("$edgeAgent", "$edgeHub")
NEVER = "0001-01-01T00:00:00Z"
_ID = re.compile(r"[A-Za-z0-9\-.+%_#*?!(),:=@$']{1,128}")
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|")


class TwinKey(NamedTuple):
    """Names an identity and its twin; `module` is None for the device itself."""

    device: str
    module: str | None = None

    def __str__(self) -> str:
        return f"{self.device}/{self.module}" if self.module else self.device


def valid_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def new_etag() -> str:
    return base64.b64encode(str(secrets.randbelow(900_000_000) + 100_000_000).encode()).decode()


@dataclass(slots=True)
class Identity:
    """`generation` is new for each creation; times are ISO 8601 UTC text."""

    device: str
    module: str | None
    generation: str
    etag: str
    primary: str
    secondary: str
    auth_type: str = "sas"
    thumbprints: tuple[str | None, str | None] = (None, None)
    enabled: bool = True
    status_reason: str | None = None
    status_updated: str = NEVER
    managed_by: str | None = None
    iot_edge: bool = False
    device_scope: str | None = None
    parent_scopes: tuple[str, ...] = ()
    connection_updated: str = NEVER
    last_activity: str = NEVER

    @property
    def key(self) -> TwinKey:
        return TwinKey(self.device, self.module)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.primary, self.secondary) if self.auth_type == "sas" else ()

    def authentication(self) -> JsonObject:
        x509 = {"primaryThumbprint": self.thumbprints[0], "secondaryThumbprint": self.thumbprints[1]}
        sas_keys = {"primaryKey": self.primary, "secondaryKey": self.secondary}
        if self.auth_type != "sas":
            sas_keys = {"primaryKey": "", "secondaryKey": ""}
        return {"symmetricKey": sas_keys, "x509Thumbprint": x509, "type": self.auth_type}

    def view(self, connection_state: str) -> JsonObject:
        """What the registry answers."""
        common: JsonObject = {
            "deviceId": self.device,
            "generationId": self.generation,
            "etag": self.etag,
            "connectionState": connection_state,
            "connectionStateUpdatedTime": self.connection_updated,
            "lastActivityTime": self.last_activity,
            "cloudToDeviceMessageCount": 0,
            "authentication": self.authentication(),
        }
        if self.module is not None:
            return {"moduleId": self.module, "managedBy": self.managed_by, **common}
        return {
            **common,
            "status": "enabled" if self.enabled else "disabled",
            "statusReason": self.status_reason,
            "statusUpdatedTime": self.status_updated,
            "capabilities": {"iotEdge": self.iot_edge},
            **({"deviceScope": self.device_scope} if self.device_scope else {}),
            **({"parentScopes": list(self.parent_scopes)} if self.parent_scopes or self.iot_edge else {}),
        }

    def to_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> Identity:
        values = dict(data)
        values["thumbprints"] = (data["thumbprints"][0], data["thumbprints"][1])
        values["parent_scopes"] = tuple(data["parent_scopes"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Authentication:
    """What a PUT asked for; empty keys mean that the hub makes them."""

    type: str = "sas"
    primary: str = ""
    secondary: str = ""
    thumbprints: tuple[str | None, str | None] = (None, None)


def read_authentication(body: JsonObject, of_module: bool = False) -> Authentication:
    """The `authentication` of an identity body. Left out, null or with an empty `symmetricKey`: the hub makes keys.

    Raises HubError 400 for keys that are no base64 of 16 to 64 bytes, or only one of the two, and for thumbprints
    that are not plain hexadecimal. The type `none` counts as `sas` for a module and is refused for a device.
    """
    raw = body.get("authentication") or {}
    if not isinstance(raw, dict):
        raise argument_invalid("authentication is not an object")
    symmetric = raw.get("symmetricKey") or {}
    x509 = raw.get("x509Thumbprint") or {}
    if not isinstance(symmetric, dict) or not isinstance(x509, dict):
        raise argument_invalid("symmetricKey and x509Thumbprint are objects")
    primary, secondary = symmetric.get("primaryKey") or "", symmetric.get("secondaryKey") or ""
    prints = (x509.get("primaryThumbprint"), x509.get("secondaryThumbprint"))
    kind = raw.get("type") or ("selfSigned" if any(prints) and not primary else "sas")
    if kind not in ("sas", "selfSigned", "certificateAuthority", "none"):
        raise argument_invalid(f"authentication type '{kind}' is not known")
    if kind == "none" and not of_module:
        raise HubError(400, "DeviceAuthenticationTypeIsMissing", "the authentication type of a device is missing")
    for value in prints:
        if value is not None and not (isinstance(value, str) and _THUMBPRINT.fullmatch(value)):
            text = f"'{value}' is no SHA-1 or SHA-256 thumbprint in hexadecimal without separators"
            raise HubError(400, "StringIsNotThumbprint", text)
    if kind in ("selfSigned", "certificateAuthority"):
        return Authentication(kind, thumbprints=prints)
    if bool(primary) != bool(secondary):
        raise argument_invalid("primaryKey and secondaryKey come together or not at all")
    for name, value in (("primaryKey", primary), ("secondaryKey", secondary)):
        if value and not (isinstance(value, str) and sas.valid_key(value)):
            raise argument_invalid(f"{name} is not base64 of 16 to 64 bytes")
    return Authentication("sas", primary, secondary)
