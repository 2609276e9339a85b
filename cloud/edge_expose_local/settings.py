"""What one local instance is made of: where its state lives, which addresses and ports it has. Kept in local.json."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

DEFAULT_POOL: Final = "127.77.0.10-127.77.0.20"
DEFAULT_SERVICE_CIDR: Final = "127.78.0.0/16"
PROFILES: Final = ("1.36", "1.20")
DEVICE: Final = "edge1"


class BadSettings(ValueError):
    """An argument that cannot be; the text says which and why."""


def default_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "edge-expose"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Ports are 0 until they are chosen, once for the life of the state folder."""

    address: str = "127.0.0.1"
    https_port: int = 0
    mqtt_port: int = 0
    proxy_port: int = 0
    workload_port: int = 0
    kube_port: int = 0
    dns_port: int = 0
    pool: str = DEFAULT_POOL
    service_cidr: str = DEFAULT_SERVICE_CIDR
    profile: str = "1.36"
    kubeconfig: str = ""
    allow_non_loopback: bool = False

    def check(self) -> None:
        """Raises BadSettings."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            raise BadSettings(f"--address {self.address} is not an IP address") from None
        if not address.is_loopback and not self.allow_non_loopback:
            raise BadSettings(
                f"--address {self.address} is not a loopback address: anybody on that network could use the hub; "
                "--allow-non-loopback allows it"
            )
        if self.profile not in PROFILES:
            raise BadSettings(f"--profile {self.profile} is not one of {', '.join(PROFILES)}")
        try:
            ipaddress.ip_network(self.service_cidr)
        except ValueError as error:
            raise BadSettings(f"--service-cidr {self.service_cidr}: {error}") from None
        if self.kubeconfig and not Path(self.kubeconfig).is_file():
            raise BadSettings(f"--kubeconfig {self.kubeconfig} is not a file")

    def with_ports(self) -> LocalSettings:
        """Free ports for those not given; all are held open until each is known, so that they differ."""
        names = ("https_port", "mqtt_port", "proxy_port", "workload_port", "kube_port", "dns_port")
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        probes: list[socket.socket] = []
        chosen: dict[str, Any] = {}
        try:
            for name in names:
                if getattr(self, name):
                    continue
                probe = socket.socket(family, socket.SOCK_STREAM)
                probes.append(probe)
                probe.bind((self.address, 0))
                chosen[name] = int(probe.getsockname()[1])
        except OSError as error:
            raise BadSettings(f"--address {self.address}: {error.strerror}") from error
        finally:
            for probe in probes:
                probe.close()
        return replace(self, **chosen)

    def save(self, state: Path) -> None:
        temporary = state / "local.tmp"
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        temporary.replace(state / "local.json")


def load(state: Path) -> LocalSettings | None:
    try:
        content = json.loads((state / "local.json").read_text(encoding="utf-8"))
        return LocalSettings(**content)
    except (OSError, ValueError, TypeError):
        return None
