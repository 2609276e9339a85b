"""Reads `$edgeAgent`'s desired properties as edgeAgent does. Pure: a document in, modules or a refusal out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]
RESTART_POLICIES = ("never", "on-failure", "on-unhealthy", "always")


class Refused(Exception):
    """The document is not accepted; `code` is edgeAgent's (400 format, 412 schema version, 417 empty)."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


@dataclass(frozen=True, slots=True)
class Module:
    """One module as it should run."""

    name: str
    image: str
    create_options: Mapping[str, Any]
    create_options_text: str
    env: Mapping[str, str]
    status: str = "running"
    restart_policy: str = "on-unhealthy"
    version: str = ""
    startup_order: int = 4294967295
    image_pull_policy: str = "on-create"

    @property
    def object_name(self) -> str:
        """What edgeAgent calls the module's objects on Kubernetes: lower case, only a-z 0-9 - . kept."""
        return re.sub(r"[^a-z0-9.-]", "", self.name.lower())


def read_manifest(desired: Mapping[str, Any]) -> tuple[list[Module], JsonObject]:
    """User modules in start order, and the raw system modules. Raises Refused."""
    content = {key: value for key, value in desired.items() if not key.startswith("$")}
    if not content:
        raise Refused(417, "the deployment is empty")
    version = content.get("schemaVersion")
    if not isinstance(version, str) or not re.match(r"1\.[01]($|\.)", version):
        raise Refused(412, f"schemaVersion {version!r} is not supported: 1.0 or 1.1")
    runtime = content.get("runtime")
    if not isinstance(runtime, dict) or runtime.get("type") != "docker":
        raise Refused(400, "runtime.type is not docker")
    system = content.get("systemModules")
    if not isinstance(system, dict) or not {"edgeAgent", "edgeHub"} <= set(system):
        raise Refused(400, "systemModules lacks edgeAgent or edgeHub")
    modules = content.get("modules") or {}
    if not isinstance(modules, dict):
        raise Refused(400, "modules is not an object")
    read = [_module(name, raw) for name, raw in modules.items() if raw is not None]
    names = [module.object_name for module in read]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise Refused(400, f"several modules become {double[0]!r} on Kubernetes")
    return sorted(read, key=lambda module: (module.startup_order, module.name)), system


def _module(name: str, raw: Any) -> Module:
    if not isinstance(raw, dict) or not isinstance(raw.get("settings"), dict):
        raise Refused(400, f"module {name}: settings is missing")
    settings = raw["settings"]
    image = settings.get("image")
    if not isinstance(image, str) or not image:
        raise Refused(400, f"module {name}: settings.image is missing")
    text = _create_options_text(name, settings)
    try:
        options = json.loads(text) if text.strip() and text.strip().lower() != "null" else {}
    except ValueError as error:
        raise Refused(400, f"module {name}: createOptions is no JSON ({error})") from error
    if not isinstance(options, dict):
        raise Refused(400, f"module {name}: createOptions is not an object")
    env = {key: str(entry["value"]) for key, entry in (raw.get("env") or {}).items() if _has_value(entry)}
    for pair in options.get("Env") or []:
        key, _, value = str(pair).partition("=")
        env[key] = value
    policy = raw.get("restartPolicy", "on-unhealthy")
    if policy not in RESTART_POLICIES:
        raise Refused(400, f"module {name}: restartPolicy {policy!r} is not known")
    status = raw.get("status", "running")
    if status not in ("running", "stopped"):
        raise Refused(400, f"module {name}: status {status!r} is not running or stopped")
    order = raw.get("startupOrder")
    return Module(
        name=name,
        image=image,
        create_options=options,
        create_options_text=text,
        env=env,
        status=status,
        restart_policy=policy,
        version=str(raw.get("version", "")),
        startup_order=order if isinstance(order, int) else 4294967295,
        image_pull_policy=str(raw.get("imagePullPolicy", "on-create")),
    )


def _has_value(entry: Any) -> bool:
    return isinstance(entry, dict) and "value" in entry


def _create_options_text(name: str, settings: Mapping[str, Any]) -> str:
    """Joins createOptions, createOptions01, ...: numbers must follow each other, in any order of properties."""
    chunks = sorted(key for key in settings if re.fullmatch(r"createOptions\d*", key, re.IGNORECASE))
    parts: list[str] = []
    for place, key in enumerate(chunks):
        expected = "createOptions" + (f"{place:02d}" if place else "")
        if key.lower() != expected.lower():
            raise Refused(400, f"module {name}: expected {expected} found {key}")
        value = settings[key]
        parts.append(value if isinstance(value, str) else json.dumps(value))
    return "".join(parts)


def container_ports(options: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Numbers and protocols a container listens on, from ExposedPorts and PortBindings, each once and in order."""
    found: dict[tuple[int, str], None] = {}
    bindings = (options.get("HostConfig") or {}).get("PortBindings") or {}
    for key in [*(options.get("ExposedPorts") or {}), *bindings]:
        number, _, protocol = str(key).partition("/")
        name = (protocol or "tcp").upper()
        if number.isdigit() and 0 < int(number) < 65536 and name in ("TCP", "UDP", "SCTP"):
            found[(int(number), name)] = None
    return list(found)
