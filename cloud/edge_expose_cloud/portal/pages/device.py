"""Routes that only look: fleet, device and its fragments, one exposure, history, twin, spec."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge_expose_cloud.hub.api import HubError, HubProblem, Twin
from edge_expose_cloud.manifest.redaction import hide_pairs
from edge_expose_cloud.plan.backups import difference
from edge_expose_cloud.plan.observation import observe_device
from edge_expose_cloud.plan.ownership import key_owners
from edge_expose_cloud.portal.live import fleet
from edge_expose_cloud.portal.live.module_answers import NOTHING_SAID
from edge_expose_cloud.portal.paths import exposure_path
from edge_expose_cloud.portal.shell import CheckedDep, Portal, PortalDep, SessionDep, page
from edge_expose_cloud.portal.views.device import device_view
from edge_expose_cloud.portal.views.workloads import choose
from edge_expose_cloud.spec.text.yaml_writer import yaml_text
from edge_expose_cloud.status.explain import explain_exposure
from edge_expose_cloud.status.timeline import tenures, timeline
from edge_expose_cloud.usecases.export import export_spec
from edge_expose_cloud.usecases.probe import Tested, probe_exposure
from edge_expose_contract.identity import MODULE_ID

PageNumber = Annotated[int, Query(alias="page", ge=1, le=1_000_000)]
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


def _question(q: str = "", show: str = "", tag: str = "", sort: str = "", number: PageNumber = 1) -> fleet.Question:
    return fleet.Question(q, show, tag, number, sort)


@router.get("/")
def start() -> Response:
    return RedirectResponse("/devices", 303)


@router.get("/devices")
def fleet_page(
    portal: PortalDep, session: SessionDep, asked: Annotated[fleet.Question, Depends(_question)]
) -> Response:
    return page(portal, session, "fleet.html", **_fleet(portal, asked))


@router.get("/fragments/fleet")
def fleet_fragment(
    portal: PortalDep, session: SessionDep, asked: Annotated[fleet.Question, Depends(_question)]
) -> Response:
    return page(portal, session, "fleet_rows.html", **_fleet(portal, asked))


def _fleet(portal: Portal, question: fleet.Question) -> dict[str, Any]:
    poller = portal.poller
    listing = poller.listing()
    found = fleet.answer(listing, question)
    poller.show(row.device_id for row in found.rows)
    return {
        "question": question,
        "answer": found,
        "totals": listing.totals,
        "shown": fleet.SHOWN,
        "sweeps": poller.sweeps,
        "swept_at": poller.swept_at,
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """Which exposures of a device to show, and in which order."""

    q: str = ""
    sort: str = "name"
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1


@router.get("/devices/{device}")
def device_page(portal: PortalDep, session: SessionDep, device: str, asked: Annotated[Asked, Depends()]) -> Response:
    return _device(portal, session, device, "device.html", asked)


@router.get("/devices/{device}/fragments/state")
def device_fragment(
    portal: PortalDep, session: SessionDep, device: str, asked: Annotated[Asked, Depends()]
) -> Response:
    return _device(portal, session, device, "device_state.html", asked)


def _device(portal: Portal, session: SessionDep, device: str, template: str, asked: Asked) -> Response:
    known = portal.last_known
    view = device_view(known, device)
    at = portal.reading.read_at(device, MODULE_ID)
    chosen = choose(view.exposures, asked.q, asked.sort, asked.page)
    return page(portal, session, template, view=view, device=device, at=at, late=known.late, asked=asked, chosen=chosen)


# Hand-typed keys of a twin that are no names come as ?name=: they may hold a slash, or nothing at all.
@router.get("/devices/{device}/exposure")
@router.get("/devices/{device}/exposures/{name}")
def exposure_page(portal: PortalDep, session: SessionDep, device: str, name: str, tested: str = "") -> Response:
    return _exposure(portal, session, device, name, "exposure.html", portal.tests.get(tested))


@router.get("/devices/{device}/exposure/fragment")
@router.get("/devices/{device}/exposures/{name}/fragment")
def exposure_fragment(portal: PortalDep, session: SessionDep, device: str, name: str) -> Response:
    return _exposure(portal, session, device, name, "exposure_state.html")


def _exposure(
    portal: Portal, session: SessionDep, device: str, name: str, template: str, tested: Tested | None = None
) -> Response:
    known = portal.last_known
    view = device_view(known, device)
    row = next((item for item in view.exposures if item.name == name), None)
    explanation = explain_exposure(known, device, name) if row is not None and view.has_module else None
    return page(
        portal,
        session,
        template,
        status=200 if row is not None else 404,
        view=view,
        device=device,
        name=name,
        row=row,
        explanation=explanation,
        tested=tested,
        at=portal.reading.read_at(device, MODULE_ID),
        late=known.late,
    )


@router.get("/devices/{device}/exposure/checks")
@router.get("/devices/{device}/exposures/{name}/checks")
def exposure_checks(portal: PortalDep, session: SessionDep, device: str, name: str) -> Response:
    """What the device itself finds when it is asked now; a direct method that changes nothing."""
    _our_twin(portal, device)
    trouble, checks = "", []
    try:
        result = portal.reading.invoke(device, MODULE_ID, "explain", {"exposure": name}, 10)
        payload = result.payload if isinstance(result.payload, dict) else {}
        found = payload.get("exposures", {}).get(name, {}) if isinstance(payload.get("exposures"), dict) else {}
        checks = [item for item in found.get("checks", []) if isinstance(item, dict)] if isinstance(found, dict) else []
        if not checks:
            said = str(payload.get("error") or payload.get("cluster") or "no result")
            trouble = f"The device did not answer: {said}"
    except HubError as error:
        who = "The device did not answer" if error.problem is HubProblem.OFFLINE else "The device could not be asked"
        trouble = f"{who}: {error.message}"
    return page(portal, session, "checks.html", device=device, name=name, checks=checks, trouble=trouble)


@router.post("/devices/{device}/exposure/test")
@router.post("/devices/{device}/exposures/{name}/test")
def exposure_test(portal: PortalDep, session: SessionDep, fields: CheckedDep, device: str, name: str) -> Response:
    """Has the device connect to the exposure now; that changes nothing, so that a viewer may."""
    place = exposure_path(device, name)
    kept = portal.tests.put(probe_exposure(portal.hub, device, name))
    return RedirectResponse(f"{place}{'&' if '?' in place else '?'}tested={kept}", 303)


@router.get("/devices/{device}/ownership")
def ownership_page(portal: PortalDep, session: SessionDep, device: str) -> Response:
    has_module = _our_twin(portal, device) is not None
    keys = key_owners(portal.last_known, device) if has_module else []
    return page(portal, session, "ownership.html", device=device, keys=keys, has_module=has_module)


@router.get("/devices/{device}/history")
def history_page(
    portal: PortalDep, session: SessionDep, device: str, exposure: str = "", address: str = ""
) -> Response:
    """Of the device, or of one `exposure` or `address` of it."""
    twin = _our_twin(portal, device)
    now = twin.desired if twin is not None else {}
    online = twin is not None and twin.connection_state == "Connected"
    said = portal.reading.said(device, MODULE_ID, "history", ask=online) if twin is not None else NOTHING_SAID
    moments = timeline(said.payload)
    shown = [
        moment
        for moment in moments
        if (not exposure or moment.exposure == exposure) and (not address or address in moment.address.split(","))
    ]
    backups = [
        (backup, difference(now, backup.desired)) for backup in portal.backups(device) if backup.desired is not None
    ]
    held = [item for item in tenures(moments) if not address or address in item.address.split(",")]
    return page(
        portal,
        session,
        "history.html",
        device=device,
        backups=backups,
        entries=portal.audit.of_device(device),
        moments=shown,
        held=[item for item in held if not exposure or item.exposure == exposure],
        known=said.payload is not None,
        old=not said.now,
        exposure=exposure,
        address=address,
    )


@router.get("/devices/{device}/twin")
def twin_page(portal: PortalDep, session: SessionDep, device: str) -> Response:
    """Our module's own twin and the device's tags: nothing there is secret, other modules' twins are not shown."""
    twin = _our_twin(portal, device)
    tags = portal.last_known.device_twin(device)
    sections = (
        [
            ("Desired properties", _json(hide_pairs(twin.desired)), f"version {twin.desired_version}"),
            ("Reported properties", _json(twin.reported), f"version {twin.reported_version}"),
        ]
        if twin is not None
        else []
    )
    if tags is not None:
        sections.append(("Device tags", _json(tags.tags), ""))
    return page(portal, session, "twin.html", device=device, sections=sections)


@router.get("/devices/{device}/spec.yaml")
def spec_file(portal: PortalDep, session: SessionDep, device: str) -> Response:
    """The device as a spec for the command line; values of env become references."""
    _our_twin(portal, device)
    spec, _ = export_spec(portal.reading, device, hide_values=True)
    name = "".join(char if char.isalnum() or char in "-_." else "_" for char in device)
    headers = {"Content-Disposition": f'attachment; filename="{name}.yaml"'}
    return Response(yaml_text(spec), media_type="application/yaml", headers=headers)


def _our_twin(portal: Portal, device: str) -> Twin | None:
    """The module's twin, None when the device does without. Raises Missing when there is no such device at all."""
    twin = portal.last_known.module_twin(device, MODULE_ID)
    if twin is None:
        observe_device(portal.last_known, device)
    return twin


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
