"""Settings of the module, from its environment. Bad ones are told all at once, and the module ends with 2."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_expose_contract.addressing import AddressSet, parse_cidr
from edge_expose_contract.names import check_namespace
from edge_expose_contract.violations import RuleError
from edge_expose_module.guards import Guards
from edge_expose_module.load_balancers.detect import METALLB_NAMESPACE

PREFIX = "EDGE_EXPOSE_"
T = TypeVar("T")


class BadSettings(Exception):
    """`problems` is one line for each bad variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds; `http` is host and port, None when no health endpoint is wanted."""

    state_dir: Path
    namespace: str | None
    kubeconfig: Path | None
    http: tuple[str, int] | None
    resync_seconds: float
    sas_ttl_seconds: int
    log_level: str
    load_balancer_namespace: str
    guards: Guards


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises BadSettings."""
    problems: list[str] = []

    def read(name: str, parse: Callable[[str], T], default: T) -> T:
        text = environment.get(PREFIX + name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, RuleError) as error:
            problems.append(f"{PREFIX}{name}={text!r}: {error}")
            return default

    settings = Settings(
        state_dir=Path(environment.get(PREFIX + "STATE_DIR") or "/var/lib/edge-expose"),
        namespace=read("NAMESPACE", check_namespace, None),
        kubeconfig=Path(environment["KUBECONFIG"]) if environment.get("KUBECONFIG") else None,
        http=read("HTTP_ADDRESS", _host_port, None),
        resync_seconds=read("RESYNC_SECONDS", lambda text: _number(text, 1, 86400), 300.0),
        sas_ttl_seconds=int(read("SAS_TTL_SECONDS", lambda text: _number(text, 121, 86400 * 365), 3600.0)),
        log_level=read("LOG_LEVEL", _level, "INFO"),
        load_balancer_namespace=read("LOAD_BALANCER_NAMESPACE", check_namespace, METALLB_NAMESPACE),
        guards=Guards(
            namespaces=read("ALLOW_NAMESPACES", lambda text: frozenset(map(check_namespace, _items(text))), None),
            ports=read("ALLOW_PORTS", lambda text: tuple(map(_port_range, _items(text))), None),
            addresses=read("ALLOW_ADDRESSES", lambda text: AddressSet.parse(_items(text)), None),
            sources=read("ALLOW_SOURCES", lambda text: tuple(map(parse_cidr, _items(text))), None),
            max_exposures=read("MAX_EXPOSURES", lambda text: int(_number(text, 0, 100000)), None),
            max_removal_percent=int(read("MAX_REMOVAL_PERCENT", lambda text: _number(text, 0, 100), 50.0)),
        ),
    )
    if problems:
        raise BadSettings(problems)
    return settings


def _items(text: str) -> list[str]:
    return [item for item in re.split(r"[,\s]+", text) if item]


def _number(text: str, low: float, high: float) -> float:
    number = float(text)
    if not low <= number <= high:
        raise ValueError(f"not between {low:g} and {high:g}")
    return number


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError("not one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return text.upper()


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(_number(port, 0, 65535))


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    low = int(_number(first, 1, 65535))
    return low, int(_number(last, low, 65535)) if last else low
