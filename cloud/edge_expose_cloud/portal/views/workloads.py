"""What runs on a device and how it fits together, from its twins. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.iotedge.edge_agent import modules_of
from edge_expose_cloud.iotedge.module_ports import known_ports
from edge_expose_cloud.plan.clients import is_open
from edge_expose_cloud.portal.views.presets import open_link, try_it
from edge_expose_cloud.status.explain import REASON_HINTS
from edge_expose_contract.models import Exposure
from edge_expose_contract.reason_table import MEANINGS


@dataclass(frozen=True, slots=True)
class ModuleView:
    """A module of the manifest; `status` is what edgeAgent reports of it, "" when it has not."""

    name: str
    image: str
    status: str
    system: bool
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExposureView:
    """A row of the exposures table: declared and reported together.

    `links` are (text, URL or None) per port, `commands` try them; `service` and `dns_name` are "" while there is no
    Service. `answers` is "yes" or "no" as its health check found, "" where nobody has tested it;
    `why` is the reason in words.
    """

    name: str
    state: str
    address: str
    service: str
    dns_name: str
    target: str
    ports: tuple[str, ...]
    links: tuple[tuple[str, str | None], ...]
    endpoints: int | None
    since: str
    reason: str
    message: str
    owner: str
    type: str
    share: str
    expires: str
    enabled: bool
    open: bool
    allowed: tuple[str, ...]
    why: str
    probe: str
    answers: str
    commands: tuple[str, ...]
    cure: str


def modules_view(agent: Twin | None) -> list[ModuleView]:
    """System modules last."""
    if agent is None:
        return []
    found = []
    reported: dict[str, Any] = {}
    for section in ("systemModules", "modules"):
        entries = agent.reported.get(section)
        reported |= entries if isinstance(entries, dict) else {}
    system = agent.desired.get("systemModules")
    system_names = set(system) if isinstance(system, dict) else set()
    for name, entry, _ in modules_of({"$edgeAgent": {"properties.desired": agent.desired}}):
        settings = entry.get("settings")
        status = reported.get(name)
        found.append(
            ModuleView(
                name=name,
                image=str(settings.get("image", "")) if isinstance(settings, Mapping) else "",
                status=str(status.get("runtimeStatus") or "") if isinstance(status, dict) else "",
                system=name in system_names,
                ports=known_ports(entry),
            )
        )
    return sorted(found, key=lambda module: (module.system, module.name))


def exposures_view(
    entries: Mapping[str, Mapping[str, Any]],
    declared: Mapping[str, Exposure],
    owners: Mapping[str, str],
    unmade: Collection[str] = (),
) -> list[ExposureView]:
    """By name; `entries` as `DeviceStatus.exposures`. A report also names Services that are planned: `unmade`."""
    return [
        _view(name, entry, declared.get(name), owners.get(name, ""), name not in unmade)
        for name, entry in sorted(entries.items())
    ]


PER_PAGE: Final = 50
_TROUBLE: Final = ("Failed", "Blocked", "Pending")
_ORDERS: Final[Mapping[str, Callable[[ExposureView], Any]]] = {
    "name": lambda row: row.name,
    "state": lambda row: (_TROUBLE.index(row.state) if row.state in _TROUBLE else len(_TROUBLE), row.state, row.name),
    "address": lambda row: (not row.address, [part.zfill(5) for part in row.address.split(".")], row.name),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One page of the exposures that match, of `found` in all."""

    rows: list[ExposureView]
    found: int
    page: int
    pages: int


def choose(rows: Sequence[ExposureView], text: str, sort: str, page: int) -> Chosen:
    """`text` is looked for in name, address, state, reason and target; `sort` is a column, by name if it is none."""
    words = text.lower().split()
    found = [
        row
        for row in rows
        if all(word in f"{row.name} {row.address} {row.state} {row.reason} {row.target}".lower() for word in words)
    ]
    found.sort(key=_ORDERS.get(sort, _ORDERS["name"]))
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, page), pages)
    return Chosen(found[(page - 1) * PER_PAGE : page * PER_PAGE], len(found), page, pages)


def _view(name: str, entry: Mapping[str, Any], exposure: Exposure | None, owner: str, made: bool) -> ExposureView:
    address, service = str(entry.get("address") or ""), str(entry.get("service") or "") if made else ""
    namespace, slash, short = service.partition("/")
    reason = str(entry.get("reason") or "")
    links: list[tuple[str, str | None]] = []
    ports: list[str] = []
    commands: list[str] = []
    for mapping in exposure.mappings if exposure is not None else ():
        ports.append(f"{mapping.port}→{mapping.target}/{mapping.protocol.lower()}")
        for part in address.split(",") if address else ():
            text = f"{part}:{mapping.port}" if ":" not in part else f"[{part}]:{mapping.port}"
            link = open_link(part, mapping, exposure.probe if exposure is not None else None)
            links.append((text, link))
            commands.append(try_it(part, mapping, link))
    return ExposureView(
        name=name,
        state=str(entry.get("state") or "?"),
        address=address,
        service=service,
        dns_name=f"{short}.{namespace}.svc.cluster.local" if slash else "",
        target=_target(exposure),
        ports=tuple(ports),
        links=tuple(links),
        endpoints=entry.get("endpoints"),
        since=str(entry.get("since") or ""),
        reason=reason,
        message=str(entry.get("message") or ""),
        owner=owner,
        type=str(entry.get("type") or ""),
        share=(exposure.share or "") if exposure is not None else "",
        expires=(exposure.expires or "") if exposure is not None else "",
        enabled=exposure.enabled if exposure is not None else True,
        open=exposure is not None and is_open(exposure.model_dump(by_alias=True)),
        allowed=tuple(exposure.allow_from or ()) if exposure is not None else (),
        probe=(exposure.probe or "") if exposure is not None else "",
        answers={"ok": "yes", "failing": "no"}.get(str(entry.get("probe")), ""),
        commands=tuple(filter(None, commands)),
        why=str(entry.get("message") or "") or MEANINGS.get(reason, reason),
        cure=REASON_HINTS.get(reason, ""),
    )


def _target(exposure: Exposure | None) -> str:
    if exposure is None:
        return ""
    if exposure.module:
        return exposure.module
    return ", ".join(exposure.selector or exposure.endpoints or ())
