"""Between the fields of the forms and the documents they stand for. Pure.

A form knows the usual fields; the others of an exposure that is edited are carried over untouched.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.portal.views.presets import Preset
from edge_expose_contract.fields import FIELD, FIELDS
from edge_expose_contract.models import Exposure, PortObject
from edge_expose_contract.ports import parse_port

#: more rows than a form can post within its bounds (guards.MOST_FIELDS) are no matter for a form
MOST_ROWS: Final = 300
OPEN_FOR: Final[Mapping[str, tuple[str, int]]] = {
    "1h": ("1 hour", 3600),
    "4h": ("4 hours", 4 * 3600),
    "8h": ("8 hours", 8 * 3600),
    "24h": ("1 day", 24 * 3600),
    "7d": ("7 days", 7 * 24 * 3600),
}
#: fields that are one text in the form and in the document
_TEXTS: Final = tuple(
    field for field in FIELDS if field.kind == "text" and field.form in ("hostname", "namespace", "pool", "probe")
)
#: controls of the part that is folded until one of them says something
MORE: Final = ("allow_from", "hostname", "open_for", "probe", "namespace", "pool", "affinity", "local", "adopt")
Row = tuple[str, str, str]
_SPLIT = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class ExposeForm:
    """Values as they stand in the form; ports are (published, target, protocol)."""

    values: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[tuple[str, str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """What is there and room for more."""
        return [*self.ports, *[("", "", "TCP")] * (2 if self.ports else 3)]


def read_form(data: Mapping[str, str]) -> ExposeForm:
    """Posted fields -> form, with every row of ports that was posted; those without any number are left out."""
    ports = []
    for row in _rows(data, "out", "in"):
        published, target = data.get(f"out{row}", "").strip(), data.get(f"in{row}", "").strip()
        if published or target:
            ports.append((published, target, data.get(f"proto{row}", "TCP").strip().upper()))
    return ExposeForm({key: value.strip() for key, value in data.items()}, tuple(ports))


def _rows(data: Mapping[str, str], *prefixes: str) -> list[int]:
    """The numbers of the rows that were posted, such as 7 for `out7`."""
    row = re.compile(rf"(?:{'|'.join(prefixes)})(\d{{1,4}})", re.ASCII)
    return sorted({int(found[1]) for found in map(row.fullmatch, data) if found})


def form_of_preset(
    preset: Preset | None, module: str, ports: tuple[str, ...], address: str, name: str = ""
) -> ExposeForm:
    """A new exposure: published ports of the preset lead to the ports that the module names; a `name` is one that was
    typed."""
    values = {"target": "module", "module": module, "reach": "outside", "address_mode": "auto"}
    rows = preset.ports if preset is not None else ()
    if preset is not None:
        values |= {"name": preset.name, "reach": "inside" if preset.inside else "outside", "probe": preset.probe}
    if ports:
        rows = _joined(rows, [(number, protocol.upper()) for number, _, protocol in (p.partition("/") for p in ports)])
    if name:
        values["name"] = name
    if address:
        values |= {"address": address, "address_mode": "fixed"}
    return ExposeForm(values, rows)


def _joined(rows: Iterable[Row], named: list[tuple[str, str]]) -> tuple[Row, ...]:
    """`554 -> 554` of a preset and a module that listens on 8554 make `554 -> 8554`; equal targets come first."""
    published: dict[tuple[str, str], str] = {}
    waiting: list[Row] = []
    for row in rows:
        if (row[1], row[2]) in named:
            published[row[1], row[2]] = row[0]
        else:
            waiting.append(row)
    for port in named:
        partner = next((row for row in waiting if row[2] == port[1]), None) if port not in published else None
        if partner is not None:
            waiting.remove(partner)
            published[port] = partner[0]
    return tuple((published.get(port, port[0]), *port) for port in named)


def form_of_exposure(name: str, exposure: Exposure) -> ExposeForm:
    """An exposure that is there, for editing: one row of ports for each entry, so that a range stays one."""
    values = {
        "name": name,
        "target": "selector" if exposure.selector else "endpoints" if exposure.endpoints else "module",
        "module": exposure.module or "",
        "selector": ", ".join(exposure.selector or ()),
        "endpoints": ", ".join(exposure.endpoints or ()),
        "reach": "outside" if exposure.is_external else "inside",
        "address_mode": "shared" if exposure.share else "fixed" if exposure.address else "auto",
        "address": exposure.address or "",
        "share": exposure.share or "",
        "allow_from": ", ".join(exposure.allow_from or ()),
        "open_for": "keep" if exposure.expires else "",
        "expires": exposure.expires or "",
        "affinity": "on" if exposure.session_affinity == "ClientIP" else "",
        "local": "on" if exposure.external_traffic_policy == "Local" else "",
        "adopt": "on" if exposure.adopt else "",
        **{field.form: field.of(exposure) or "" for field in _TEXTS},
    }
    return ExposeForm(values, tuple(map(_row, exposure.ports)))


def merged_form(base: ExposeForm, typed: ExposeForm, now: ExposeForm) -> ExposeForm:
    """`now`, with what was typed since `base`: where both changed one field, what was typed is kept."""
    names = now.values.keys() | typed.values.keys()
    values = {key: (now if typed.get(key) == base.get(key) else typed).get(key) for key in names}
    return ExposeForm(values, now.ports if typed.ports == base.ports else typed.ports)


def _row(entry: int | str | PortObject) -> tuple[str, str, str]:
    mappings = [entry.mapping()] if isinstance(entry, PortObject) else parse_port(entry)
    first, last = mappings[0], mappings[-1]
    if first is last:
        return str(first.port), str(first.target), str(first.protocol)
    return f"{first.port}-{last.port}", f"{first.target}-{last.target}", str(first.protocol)


def fields_of(form: ExposeForm, base: Mapping[str, Any], now: dt.datetime) -> Json:
    """The exposure a form stands for; `base` is the declaration edited ({} for a new one). Not validated here."""
    fields: Json = dict(base)
    for known in FIELDS:
        if known.form:
            fields.pop(known.name, None)
    match form.get("target", "module"):
        case "selector":
            fields["selector"] = _list(form.get("selector"))
        case "endpoints":
            fields["endpoints"] = _list(form.get("endpoints"))
        case _:
            if form.get("module"):
                fields["module"] = form.get("module")
    fields["ports"] = _ports(form, base)
    outside = form.get("reach", "outside") == "outside"
    if not outside:
        fields["type"] = "ClusterIP"
        for known in FIELDS:
            if known.external_only:
                fields.pop(known.name, None)
    if outside and form.get("address_mode") == "fixed":
        fields["address"] = form.get("address")
    if outside and form.get("address_mode") == "shared":
        fields["share"] = form.get("share")
        if base.get("share") == form.get("share") and base.get("address"):
            fields["address"] = base["address"]
    if outside and form.get("allow_from"):
        fields["allowFrom"] = _list(form.get("allow_from"))
    for known in _TEXTS:
        if form.get(known.form) and (outside or not known.external_only):
            fields[known.name] = form.get(known.form)
    if form.get("affinity"):
        fields["sessionAffinity"] = "ClientIP"
    if outside and form.get("local"):
        fields["externalTrafficPolicy"] = "Local"
    if form.get("adopt"):
        fields["adopt"] = True
    expires = _expiry(form, now)
    if expires:
        fields["expires"] = expires
    return fields


def _ports(form: ExposeForm, base: Mapping[str, Any]) -> list[Any]:
    """An entry of the declaration is kept as it is written, name and all, as long as its row is not touched."""
    try:
        before = Exposure.model_validate(base).ports if base else []
    except ValidationError:
        before = []
    kept = {_row(entry): written for entry, written in zip(before, base.get("ports", ()), strict=False)}
    found: list[Any] = []
    for published, target, protocol in form.ports:
        row = (published or target, target or published, protocol)
        named = (target or published) and not re.fullmatch(r"[\d-]+", target or published)
        if row in kept:
            found.append(kept[row])
        elif named and (published or "").isdigit():
            found.append({"port": int(published), "targetPort": target, "protocol": protocol})
        else:
            found.append(f"{row[0]}:{row[1]}/{protocol.lower()}")
    return found


def _expiry(form: ExposeForm, now: dt.datetime) -> str:
    choice = form.get("open_for")
    if choice in OPEN_FOR:
        return (now + dt.timedelta(seconds=OPEN_FOR[choice][1])).strftime("%Y-%m-%dT%H:%M:%SZ")
    return form.get("expires") if choice in ("keep", "until") else ""


def _list(text: str) -> list[str]:
    return [part for part in _SPLIT.split(text) if part]


def place_of(finding: Finding, name: str) -> str:
    """The form field a finding belongs to, "" for the form as a whole."""
    path = finding.path.removeprefix(f"exposures.{name}").removeprefix("exposures").lstrip(".")
    if finding.rule == "InvalidName":
        return "name"
    port = re.match(r"ports\[(\d+)\]", path)
    if port:
        return f"out{port[1]}"
    if path.startswith("ports"):
        return "out0"
    field = FIELD.get(re.split(r"[.\[]", path)[0])
    return field.form if field is not None else ""


LABELS: Final[Mapping[str, str]] = {"name": "Name"} | {field.form: field.label for field in FIELDS if field.form}


def label_of(place: str, form: ExposeForm, editing: bool) -> str:
    """What the field is called on the screen, "" when the form as it stands does not show it."""
    outside = form.get("reach", "outside") == "outside"
    row = re.fullmatch(r"out(\d+)", place)
    if row:
        return f"Ports, row {int(row[1]) + 1}" if int(row[1]) < len(form.rows) else ""
    match place:
        case "name":
            shown = not editing
        case "module" | "selector" | "endpoints":
            shown = form.get("target", "module") == place
        case "address":
            shown = outside and form.get("address_mode") == "fixed"
        case "share":
            shown = outside and form.get("address_mode") == "shared"
        case _:
            shown = True
    return LABELS.get(place, "") if shown else ""


_HINTS: Final[Mapping[str, str]] = {
    "InvalidPort": "write a number from 1 to 65535, or a range such as 5000-5010; in the app it may be a port's name",
    "InvalidAddress": "write one IPv4 or IPv6 address",
    "AddressOutsideRange": "choose a free address of the range, or extend it on the Compute network page",
    "AddressReserved": "choose another address, or remove the reservation on the Compute network page",
    "AddressTaken": "choose a free address, or give both exposures the same sharing key to share it",
    "AddressTwice": "choose a free address, or give both exposures the same sharing key",
    "RangeTooSmall": "extend the range, share addresses, or remove an exposure",
    "RangeNoEdgehub": "on Azure Stack Edge, edgeHub uses one address of the range: add it to the reserved addresses",
    "IllegalTwinKey": "a name cannot contain . $ # or spaces; use - instead",
    "ExposureModuleUnknown": "choose a module from the list, or select pods by their labels",
}
_OF_A_SPEC = re.compile(r" is not in this spec \(modules: .*\)$")


def in_words(finding: Finding) -> Finding:
    """A finding about the document, said about the form where the document's words mean nothing to its user."""
    path = finding.path.rpartition(".")[2]
    if finding.rule == "InvalidValue" and path == "ports":
        return replace(finding, message="no port is set", hint="enter at least one port")
    if finding.rule == "OneTarget":
        return replace(finding, message="no target is selected", hint="choose a module, labels or addresses")
    message = _OF_A_SPEC.sub(" is not on this device", finding.message)
    # A warning has a hint of its own, which the rule's would hide.
    hint = finding.hint if finding.severity == "warning" else _HINTS.get(finding.rule, finding.hint)
    return replace(finding, message=message, hint=hint)


Reserved = tuple[str, str]
_SITE_TEXTS: Final = {"external": "externalServiceIPs", "nodes": "nodeIPs"}


def reserved_rows(data: Mapping[str, str]) -> list[Reserved]:
    """The (name, address) rows of the Compute network form that are not empty."""
    rows = [
        (data.get(f"who{row}", "").strip(), data.get(f"reserved{row}", "").strip())
        for row in _rows(data, "who", "reserved")
    ]
    return [row for row in rows if any(row)]


def site_values(site: Mapping[str, Any]) -> tuple[dict[str, str], list[Reserved]]:
    """Keys of `site` as the Compute network form shows them."""
    ranges = {form: site.get(key) or "" for form, key in _SITE_TEXTS.items()}
    values = {form: ", ".join(map(str, text)) if isinstance(text, list) else str(text) for form, text in ranges.items()}
    return values, [(who, str(address)) for who, address in _reserved(site).items()]


def merged_site(base: Json, typed: Json, now: Json) -> Json:
    """`now`, with what was typed since `base`; reservations are merged one by one."""
    reserved = _merged(_reserved(base), _reserved(typed), _reserved(now))
    return {**_merged(dict(map(_as_typed, base.items())), typed, now), "reserved": reserved}


def _as_typed(item: tuple[str, Any]) -> tuple[str, Any]:
    """A list of one range comes back from the form as that range."""
    key, value = item
    return key, value[0] if isinstance(value, list) and len(value) == 1 else value


def _merged(base: Json, typed: Json, now: Json) -> Json:
    chosen = {key: (now if typed.get(key) == base.get(key) else typed).get(key) for key in {**now, **typed}}
    return {key: value for key, value in chosen.items() if value}


def _reserved(site: Mapping[str, Any]) -> Json:
    found = site.get("reserved")
    return found if isinstance(found, dict) else {}


def site_fields(data: Mapping[str, str]) -> tuple[Json, list[Finding]]:
    """The Compute network form -> keys of `site`, and what they cannot say; an emptied field is a key of None."""
    fields: Json = {}
    for form, key in _SITE_TEXTS.items():
        parts = [part.strip() for part in re.split(r"[,;\n]+", data.get(form, "")) if part.strip()]
        fields[key] = None if not parts else parts[0] if len(parts) == 1 else parts
    rows = reserved_rows(data)
    fields["reserved"] = dict(rows) or None
    names = [who for who, _ in rows]
    nameless = [address for who, address in rows if not who]
    wrong = [(f"{address} has no name", "name what uses it, such as edgehub") for address in nameless]
    twice = sorted({who for who in names if who and names.count(who) > 1})
    wrong += [(f"two addresses are reserved for {who!r}", "use a different name for each") for who in twice]
    return fields, [Finding("InvalidName", "error", "site.reserved", what, hint) for what, hint in wrong]
