"""What one local instance is made of: where its state lives, which addresses and ports it has. Kept in local.json."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from edge_expose_local.cluster.metallb.answers import Answers
from edge_expose_local.cluster.metallb.pools import ConfigError, parse_element
from edge_expose_local.damage import Damaged

DEFAULT_POOL: Final = "127.77.0.10-127.77.0.20"
DEFAULT_SERVICE_CIDR: Final = "127.78.0.0/16"
PROFILES: Final = ("1.36", "1.20")
DEVICE: Final = "edge1"


# The ports that a person can give, by the name of their option.
PORT_OPTIONS: Final = {"https_port": "--https-port", "mqtt_port": "--mqtt-port", "kube_port": "--kube-port"}
# How long a port may stay taken: the parts of an instance that was killed a moment ago may still be ending.
_PORT_SECONDS: Final = 2.0


class BadSettings(ValueError):
    """An argument that cannot be; the text says which and why."""


class PortTaken(Exception):
    """Another program listens on a port of this instance; the text says on which."""


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
        if address.version != 4 and not self.kubeconfig:
            raise BadSettings(f"--address {self.address}: the local cluster carries IPv4 only; try 127.0.0.1")
        if self.profile not in PROFILES:
            raise BadSettings(f"--profile {self.profile} is not one of {', '.join(PROFILES)}")
        self._check_ports()
        try:
            services = ipaddress.IPv4Network(self.service_cidr)
        except ValueError as error:
            raise BadSettings(f"--service-cidr {self.service_cidr}: {error}; try {DEFAULT_SERVICE_CIDR}") from None
        if not services.is_loopback and not self.allow_non_loopback:
            raise BadSettings(_beyond("--service-cidr ", self.service_cidr, DEFAULT_SERVICE_CIDR))
        self.check_ranges(self.pool, "--pool ")
        if self.kubeconfig and not Path(self.kubeconfig).is_file():
            raise BadSettings(f"--kubeconfig {self.kubeconfig} is not a file")

    def _check_ports(self) -> None:
        given: dict[int, str] = {}
        for name, option in PORT_OPTIONS.items():
            port = getattr(self, name)
            if not 0 <= port <= 65535:
                raise BadSettings(f"{option} {port} is not a port: give 1 to 65535, or leave it out for a free one")
            if port and port in given:
                raise BadSettings(f"{option} {port} is the port of {given[port]} too: give each a port of its own")
            given[port] = option

    def check_ranges(self, ranges: str, option: str = "") -> None:
        """Raises BadSettings unless the load balancer takes these ranges and this machine can serve them.

        `option` stands in the message before the value, with a blank.
        """
        try:
            networks = [
                network
                for part in ranges.split(",")
                for network in parse_element(part.strip(), legacy=self.profile == "1.20")
            ]
        except ConfigError as error:
            told = Answers("0.10.3" if self.profile == "1.20" else "0.16.1").text(
                error.situation, **{"pool": "", "number": "", **error.values}
            )
            why = told.rpartition(": ")[2]
            raise BadSettings(
                f"{option}{ranges}: {why}; a range is A-B or a CIDR, several with commas, like {DEFAULT_POOL}"
            ) from None
        if not networks:
            raise BadSettings(f"{option}{ranges} holds no address; try {DEFAULT_POOL}")
        outside = any(network.version == 4 and not network.is_loopback for network in networks)
        if outside and not self.allow_non_loopback:
            raise BadSettings(_beyond(option, ranges, DEFAULT_POOL))
        services = ipaddress.ip_network(self.service_cidr, strict=False)
        if any(network.version == services.version and network.overlaps(services) for network in networks):
            raise BadSettings(
                f"{option}{ranges} overlaps --service-cidr {self.service_cidr}: one address would be an external "
                "service IP and a cluster IP; take them from different ranges"
            )

    def with_ports(self) -> LocalSettings:
        """Free ports for those not given; all are held open until each is known, so that they differ.

        Raises PortTaken for a port that somebody else listens on, BadSettings for one that cannot be had at all.
        """
        for name, option in PORT_OPTIONS.items():
            if (port := getattr(self, name)) and not self._is_free(option, port):
                raise PortTaken(
                    f"another program listens on {self.address}:{port}, the port of {option}; "
                    f"end it, or give another one: {option} N"
                )
        # Nobody gives these two and nobody need know them: others are as good.
        hidden = {name: getattr(self, name) for name in ("workload_port", "dns_port")}
        taken: dict[str, Any] = {name: 0 for name, port in hidden.items() if port and not self._is_free(name, port)}
        return replace(self, **taken)._with_free_ports()

    def _with_free_ports(self) -> LocalSettings:
        names = ("https_port", "mqtt_port", "proxy_port", "workload_port", "kube_port", "dns_port")
        probes: list[socket.socket] = []
        chosen: dict[str, Any] = {}
        try:
            for name in names:
                if getattr(self, name):
                    continue
                probe = self._socket()
                probes.append(probe)
                probe.bind((self.address, 0))
                chosen[name] = int(probe.getsockname()[1])
        except OSError as error:
            raise BadSettings(f"--address {self.address}: {error.strerror}") from error
        finally:
            for probe in probes:
                probe.close()
        return replace(self, **chosen)

    def _socket(self) -> socket.socket:
        return socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, socket.SOCK_STREAM)

    def _is_free(self, option: str, port: int) -> bool:
        deadline = time.monotonic() + _PORT_SECONDS
        while True:
            with self._socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self.address, port))
                    probe.listen(1)
                    return True
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise BadSettings(f"{option} {port}: {error.strerror}; try another port") from error
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)

    def save(self, state: Path) -> None:
        temporary = state / "local.tmp"
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        temporary.replace(state / "local.json")


def _beyond(option: str, value: str, instead: str) -> str:
    return f"{option}{value} is not loopback; try one like {instead}, or `local up --allow-non-loopback` first"


def load(state: Path) -> LocalSettings | None:
    """None where none are stored. Raises Damaged: with others in their place, clients would find nothing any more."""
    file = state / "local.json"
    try:
        return LocalSettings(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Damaged(file, error) from error
