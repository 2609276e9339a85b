"""Settings of the module, from its environment. Bad ones are told all at once, and the module ends with 2."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge_expose_contract.names import check_namespace
from edge_expose_contract.violations import RuleError
from edge_expose_module.desired.rails import table as rails
from edge_expose_module.desired.rails.model import ENVIRONMENT, Guards
from edge_expose_module.desired.rails.parse import number as _number
from edge_expose_module.desired.rails.parse import whole
from edge_expose_module.load_balancers.detect import DEFAULT_NAMESPACE

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

    own = {key.removeprefix(PREFIX): text for key, text in environment.items() if key.startswith(PREFIX)}
    guards, unfit = rails.read(own, ENVIRONMENT)
    settings = Settings(
        state_dir=Path(environment.get(PREFIX + "STATE_DIR") or "/var/lib/edge-expose"),
        namespace=read("NAMESPACE", check_namespace, None),
        kubeconfig=Path(environment["KUBECONFIG"]) if environment.get("KUBECONFIG") else None,
        http=read("HTTP_ADDRESS", _host_port, None),
        resync_seconds=read("RESYNC_SECONDS", lambda text: _number(text, 1, 86400), 300.0),
        sas_ttl_seconds=int(read("SAS_TTL_SECONDS", lambda text: _number(text, 121, 86400 * 365), 3600.0)),
        log_level=read("LOG_LEVEL", _level, "INFO"),
        load_balancer_namespace=read("LOAD_BALANCER_NAMESPACE", check_namespace, DEFAULT_NAMESPACE),
        guards=guards,
    )
    problems += [PREFIX + problem for problem in unfit]
    if problems:
        raise BadSettings(problems)
    return settings


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError("not one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return text.upper()


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", whole(port, 0, 65535)
