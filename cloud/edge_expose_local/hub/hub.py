"""The running hub: state and store together, one commit for both, and the parts that servers share."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from edge_expose_local.hub.access import certificates, sas
from edge_expose_local.hub.deployments import configuration_service
from edge_expose_local.hub.faults import Faults
from edge_expose_local.hub.records.identities import TwinKey, new_key
from edge_expose_local.hub.store.database import Store
from edge_expose_local.hub.store.state import Effect, HubState
from edge_expose_local.hub.throttle import Throttle

LOGICAL_NAME = "localhub.test"
HTTPS_PORT = 443  # left out of host names, as everywhere
RIGHTS: dict[str, frozenset[str]] = {
    "iothubowner": frozenset({"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"}),
    "service": frozenset({"ServiceConnect"}),
    "device": frozenset({"DeviceConnect"}),
    "registryRead": frozenset({"RegistryRead"}),
    "registryReadWrite": frozenset({"RegistryRead", "RegistryWrite"}),
}
log = logging.getLogger("edge_expose_local.hub")


@dataclass(slots=True)
class Ports:
    https: int = 0
    mqtt: int = 0
    proxy: int = 0
    workload: int = 0


@dataclass(slots=True)
class Hub:
    """`policies` maps a policy name to its key, `authorities` a name to the PEM certificate of a devices' CA.

    `deliver` is set by the MQTT side and gets effects after a commit.
    """

    folder: Path
    address: str
    store: Store
    state: HubState
    policies: dict[str, str]
    secret: str
    authorities: dict[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    throttle: Throttle = field(default_factory=Throttle)
    ports: Ports = field(default_factory=Ports)
    deliver: Callable[[Effect], None] = lambda effect: None

    @classmethod
    def open(cls, folder: Path, address: str) -> Hub:
        """Reads everything back from `folder`, or makes a new hub there."""
        store = Store(folder / "hub.sqlite")
        state = HubState()
        state.load(store.load)
        hub_records = store.load("hub")
        if not hub_records:
            hub_records = {
                "policies": {name: new_key() for name in RIGHTS},
                "secret": {"value": secrets.token_hex(32)},
            }
            store.commit([("hub", key, record) for key, record in hub_records.items()])
        secret, authorities = hub_records["secret"]["value"], hub_records.get("authorities", {})
        return cls(folder, address, store, state, hub_records["policies"], secret, authorities)

    def set_authority(self, name: str, pem: str | None) -> None:
        """Registers the CA certificate of devices under a name, or takes it away; kept on disk."""
        if pem is None:
            self.authorities.pop(name, None)
        else:
            self.authorities[name] = pem
        self.store.commit([("hub", "authorities", dict(self.authorities))])

    def commit(self) -> None:
        """Evaluates deployments if something asks for it, syncs all changes to disk, then tells the devices."""
        if self.state.evaluation_wanted:
            configuration_service.evaluate(self.state)
        changes = self.state.take_changes()
        if changes:
            try:
                self.store.commit(changes)
            except sqlite3.Error as error:
                # Memory is ahead of the disk now; only a restart from the disk makes them agree again.
                log.critical("cannot write to disk, ending: %s", error)
                raise SystemExit(1) from error
        for effect in self.state.take_effects():
            self.deliver(effect)

    def connection_string(self, policy: str = "iothubowner") -> str:
        host = self.address if self.ports.https == HTTPS_PORT else f"{self.address}:{self.ports.https}"
        return f"HostName={host};SharedAccessKeyName={policy};SharedAccessKey={self.policies[policy]}"

    def own_resource(self, resource: str) -> str | None:
        """The path below the hub's name in a plain SAS resource ('' for the whole hub), None for another host."""
        host, _, path = resource.partition("/")
        name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
        known = (LOGICAL_NAME, "localhost", self.address.lower())
        return path if name.lower() in known and (not port or int(port) < 65536) else None

    def _refusal(self, key: TwinKey) -> str:
        """Why an identity may not sign in at all; empty when it may."""
        identity, device = self.state.identities.get(key), self.state.identities.get(TwinKey(key.device))
        if identity is None or device is None:
            return "the identity does not exist"
        return "" if device.enabled and identity.enabled else "the identity is disabled"

    def certificate_problem(self, key: TwinKey, shown: list[x509.Certificate]) -> str:
        """Checks the certificate of a device or module: why it is refused, empty when it is not."""
        if refusal := self._refusal(key):
            return refusal
        identity = self.state.identities[key]
        match identity.auth_type:
            case "selfSigned":
                known = certificates.has_thumbprint(shown[0], identity.thumbprints)
                return "" if known else "the thumbprint of the certificate is not in the registry"
            case "certificateAuthority" if key.module is None:
                authorities = [x509.load_pem_x509_certificate(pem.encode()) for pem in self.authorities.values()]
                return certificates.problem_with_chain(shown, authorities, key.device)
            case _:
                return f"the identity signs in by {identity.auth_type}, not by a certificate"

    def identity_token(self, key: TwinKey, text: str) -> sas.SasToken | str:
        """Checks the SAS token of a device or module: the token, or why it is refused."""
        if refusal := self._refusal(key):
            return refusal
        token = sas.parse(text)
        if isinstance(token, str):
            return token
        if token.expiry <= self.state.clock():
            return "the token has expired"
        path = f"devices/{key.device}" + (f"/modules/{key.module}" if key.module is not None else "")
        if self.own_resource(token.plain_resource) != path:
            return "the token is for another resource"
        return token if sas.signed_by(token, self.state.identities[key].keys) else "the signature does not match"
