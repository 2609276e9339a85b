"""Which configurations win on a device, and what they set: base, layers by priority, dotted sub-paths. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from edge_expose_local.hub.records.configurations import DESIRED, Configuration, SiblingRule
from edge_expose_local.hub.records.twins import merge

JsonObject = dict[str, Any]
Status = Literal["Targeted", "Applied"]


@dataclass(slots=True)
class Wanted:
    """What deployments set on one twin: a whole section, or single paths in it (`whole` None)."""

    whole: JsonObject | None = None
    paths: list[tuple[tuple[str, ...], Any]] = field(default_factory=list)

    def add(self, key: str, value: Any) -> None:
        if key == DESIRED:
            self.whole, self.paths = merge({}, value), []
            return
        steps = tuple(key[len(DESIRED) + 1 :].split("."))
        if self.whole is not None:
            set_path(self.whole, steps, value)
        else:
            self.paths.append((steps, value))

    def result(self, current: JsonObject, siblings: SiblingRule) -> JsonObject:
        """The desired section that comes out. With `keep`, keys that no deployment names survive single paths."""
        if self.whole is not None:
            return self.whole
        section = copy.deepcopy(current) if siblings == "keep" else {}
        for steps, value in self.paths:
            set_path(section, steps, value)
        return section


@dataclass(slots=True)
class DevicePlan:
    statuses: dict[str, Status] = field(default_factory=dict)
    modules: dict[str, Wanted] = field(default_factory=dict)


def set_path(section: JsonObject, steps: tuple[str, ...], value: Any) -> None:
    """Puts `value` at the path, making objects on the way; null removes the key."""
    current = section
    for step in steps[:-1]:
        child = current.get(step)
        if not isinstance(child, dict):
            child = current[step] = {}
        current = child
    if value is None:
        current.pop(steps[-1], None)
    else:
        current[steps[-1]] = merge({}, value) if isinstance(value, dict) else copy.deepcopy(value)


def _rank(configuration: Configuration) -> tuple[int, int]:
    return configuration.priority, configuration.order


def plan_device(targeting: Iterable[Configuration]) -> DevicePlan:
    """The outcome on one edge device of all deployments that target it.

    The base with the highest priority (then the newest) wins; layers of a higher priority than that base are laid over
    it in rising priority. Without a base, layers wait as Targeted.
    """
    plan = DevicePlan()
    deployments = sorted((item for item in targeting if item.kind == "modulesContent"), key=_rank)
    plan.statuses = {item.id: "Targeted" for item in deployments}
    bases = [item for item in deployments if not item.layered]
    if not bases:
        return plan
    base = bases[-1]
    layers = [item for item in deployments if item.layered and item.priority > base.priority]
    for item in [base, *layers]:
        plan.statuses[item.id] = "Applied"
        for module, section in item.content["modulesContent"].items():
            wanted = plan.modules.setdefault(module, Wanted())
            for key in sorted(section, key=len):  # the whole section first, then the paths into it
                wanted.add(key, section[key])
    return plan


def plan_plain(
    targeting: Iterable[Configuration], kind: Literal["deviceContent", "moduleContent"]
) -> tuple[dict[str, Status], Wanted]:
    """Device or module configurations on one twin: all are applied, the highest priority last."""
    wanted, statuses = Wanted(), dict[str, Status]()
    for item in sorted((item for item in targeting if item.kind == kind), key=_rank):
        statuses[item.id] = "Applied"
        for key in sorted(item.content[kind], key=len):
            wanted.add(key, item.content[kind][key])
    return statuses, wanted


def modules_named_in(modules_content: JsonObject) -> list[str]:
    """Every module identity a manifest needs: its own keys and those `$edgeAgent` is told to run."""
    names = [name for name in modules_content if not name.startswith("$")]
    for path, value in (modules_content.get("$edgeAgent") or {}).items():
        if path == DESIRED:
            running = value.get("modules") or {}
            names += list(running) if isinstance(running, dict) else []
        elif path == f"{DESIRED}.modules" and isinstance(value, dict):
            names += list(value)
        elif path.startswith(f"{DESIRED}.modules."):
            names.append(path[len(f"{DESIRED}.modules.") :].split(".")[0])
    return list(dict.fromkeys(names))
