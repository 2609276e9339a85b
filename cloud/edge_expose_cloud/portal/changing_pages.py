"""Routes that change: the forms, the check as you type, the plan, and Apply. Each works as a plain form."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge_expose_cloud.findings import Finding
from edge_expose_cloud.hub import HubError
from edge_expose_cloud.portal.device_view import DeviceView, device_view
from edge_expose_cloud.portal.forms import (
    MOST_ROWS,
    OPEN_FOR,
    ExposeForm,
    Reserved,
    fields_of,
    form_of_exposure,
    form_of_preset,
    in_words,
    label_of,
    place_of,
    read_form,
    reserved_rows,
    site_fields,
)
from edge_expose_cloud.portal.planned import lines_of
from edge_expose_cloud.portal.presets import BY_KEY, PRESETS
from edge_expose_cloud.portal.rendering import exposure_path, path_of
from edge_expose_cloud.portal.sessions import Session
from edge_expose_cloud.portal.shell import CheckedDep, OperatorDep, Portal, PortalDep, page
from edge_expose_cloud.portal.wishes import KINDS, Planned, Wish, plan_wish, wish_of
from edge_expose_cloud.usecases.applying import apply_plan, check_dangers, check_expected
from edge_expose_cloud.usecases.problems import InputError, Refused

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


# -- the expose form --


@router.get("/devices/{device}/expose")
def expose_form(
    portal: PortalDep,
    session: OperatorDep,
    device: str,
    preset: str = "",
    module: str = "",
    address: str = "",
    name: str = "",
) -> Response:
    """`name` is one that somebody typed before choosing a preset."""
    view = device_view(portal.reading, device)
    declared = next((item.ports for item in view.modules if item.name == module), ())
    form = form_of_preset(BY_KEY.get(preset), module, declared, address, name)
    return _form(portal, session, view, form, [], preset=preset, editing="", typed=name)


@router.get("/devices/{device}/exposures/{name}/edit")
def edit_form(portal: PortalDep, session: OperatorDep, device: str, name: str) -> Response:
    view = device_view(portal.reading, device)
    exposure = view.declared.get(name)
    if exposure is None:
        raise Refused(f"device {device} declares no valid exposure {name!r}", "the exposure's page says more")
    if name in view.owners:
        raise Refused(
            f"exposure {name!r} is set by the deployment {view.owners[name]}", "change that deployment's spec"
        )
    if len(exposure.ports) > MOST_ROWS:
        raise Refused(
            f"exposure {name!r} has {len(exposure.ports)} entries of ports, more than a form holds",
            "write neighbours as a range such as 5000-5010, in the twin or with `edge-expose expose`",
        )
    return _form(portal, session, view, form_of_exposure(name, exposure), [], preset="", editing=name)


@router.post("/devices/{device}/check")
def check(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Validation as you type: the same rules, on what was read a moment ago."""
    wish, _ = _exposure_wish(portal, device, fields)
    try:
        if not fields.get("editing") and wish.name in device_view(portal.reading, device).declared_raw:
            raise InputError([_taken(wish.name)])
        planned = plan_wish(portal.reading, wish, portal.backups)
        return _checked(portal, session, wish, planned.findings, planned)
    except InputError as error:
        return _checked(portal, session, wish, error.findings, None)
    except Refused as error:
        return page(portal, session, "check.html", findings=[], places={}, lines=[], refused=error)


def _checked(
    portal: Portal, session: Session, wish: Wish, findings: list[Finding], planned: Planned | None
) -> Response:
    lines = [line for line in lines_of(planned.plan) if line.what.startswith("Service")] if planned is not None else []
    findings = [in_words(item) for item in findings]
    places = {item: place_of(item, wish.name) for item in findings}
    return page(portal, session, "check.html", findings=findings, places=places, lines=lines, refused=None)


@router.post("/devices/{device}/expose")
def plan_exposure(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    wish, form = _exposure_wish(portal, device, fields)
    editing = fields.get("editing", "")
    try:
        view = device_view(portal.reading, device)
        if not editing and wish.name in view.declared_raw:
            raise InputError([_taken(wish.name)])
        return _plan(portal, session, wish)
    except InputError as error:
        return _form(portal, session, view, form, error.findings, preset="", editing=editing)


def _taken(name: str) -> Finding:
    return Finding(
        "InvalidName", "error", "name", f"there is an exposure {name!r} already", "choose another name, or edit it"
    )


def _exposure_wish(portal: Portal, device: str, fields: dict[str, str]) -> tuple[Wish, ExposeForm]:
    form = read_form(fields)
    editing = fields.get("editing", "")
    base: dict[str, Any] = {}
    if editing:
        twin = device_view(portal.reading, device).declared_raw.get(editing)
        base = twin if isinstance(twin, dict) else {}
    name = editing or form.get("name")
    return Wish("expose", device, name, fields_of(form, base, dt.datetime.now(dt.UTC))), form


def _form(
    portal: Portal,
    session: Session,
    view: DeviceView,
    form: ExposeForm,
    findings: list[Finding],
    *,
    preset: str,
    editing: str,
    typed: str = "",
) -> Response:
    name = editing or form.get("name")
    wrong: dict[str, Finding] = {}
    elsewhere: list[Finding] = []
    for item in map(in_words, findings):
        place = place_of(item, name)
        if item.severity == "error" and place not in wrong and label_of(place, form, bool(editing)):
            wrong[place] = item
        else:
            elsewhere.append(item)
    return page(
        portal,
        session,
        "expose.html",
        status=422 if findings else 200,
        view=view,
        device=view.device_id,
        form=form,
        elsewhere=elsewhere,
        wrong=wrong,
        labels={place: label_of(place, form, bool(editing)) for place in wrong},
        presets=PRESETS,
        preset=preset,
        editing=editing,
        typed=typed if editing or not findings else name,
        open_for=OPEN_FOR,
    )


# -- the Compute network form --


@router.get("/devices/{device}/network")
def network_form(portal: PortalDep, session: OperatorDep, device: str) -> Response:
    view = device_view(portal.reading, device)
    values = {
        "external": ", ".join(_texts(view.site.get("externalServiceIPs"))),
        "nodes": ", ".join(_texts(view.site.get("nodeIPs"))),
    }
    reserved = view.site.get("reserved")
    rows = [(str(who), str(address)) for who, address in reserved.items()] if isinstance(reserved, dict) else []
    return _network(portal, session, view, values, rows, [])


@router.post("/devices/{device}/network")
def plan_network(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    site, wrong = site_fields(fields)
    try:
        if wrong:
            raise InputError(wrong)
        return _plan(portal, session, Wish("ranges", device, "", site))
    except InputError as error:
        rows = reserved_rows(fields)
        return _network(portal, session, device_view(portal.reading, device), fields, rows, error.findings)


def _network(
    portal: Portal,
    session: Session,
    view: DeviceView,
    values: dict[str, str],
    rows: list[Reserved],
    findings: list[Finding],
) -> Response:
    status = 422 if findings else 200
    return page(
        portal,
        session,
        "network.html",
        status=status,
        view=view,
        device=view.device_id,
        values=values,
        rows=[*rows, ("", "")],
        findings=[in_words(item) for item in findings],
    )


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value] if isinstance(value, list) else []


# -- plan and apply --


@router.post("/devices/{device}/plan")
def plan_other(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Remove, disable, enable, revert, release: one button each."""
    kind = next((kind for kind in KINDS if kind == fields.get("kind")), None)
    if kind is None or kind in ("expose", "ranges"):
        raise Refused("this page asks for something unknown", "start again from the device's page")
    return _plan(portal, session, Wish(kind, device, fields.get("name", "")))


def _plan(portal: Portal, session: Session, wish: Wish, problem: Refused | None = None, status: int = 200) -> Response:
    planned = plan_fresh(portal, wish)
    planned = replace(planned, findings=[in_words(item) for item in planned.findings])
    return page(
        portal,
        session,
        "plan.html",
        status=status,
        device=wish.device,
        wish=wish,
        planned=planned,
        lines=lines_of(planned.plan),
        back=_back(wish),
        refused=problem,
    )


@router.post("/devices/{device}/apply")
def apply(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Does exactly the plan that was shown, or shows the new one."""
    wish = wish_of(device, fields.get("wish", ""))
    digest = fields.get("digest", "")
    allowed = {
        name.removeprefix("allow-"): _count(value) for name, value in fields.items() if name.startswith("allow-")
    }
    try:
        done = apply_wish(portal, session, wish, digest, allowed)
    except Refused as error:
        try:
            return _plan(portal, session, wish, error, 409)
        except (Refused, InputError):
            raise error from None
    target = _back(wish)
    mark = "follow=1" if wish.kind in ("expose", "enable") else "done=1"
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{mark}" if done else target, 303)


def plan_fresh(portal: Portal, wish: Wish) -> Planned:
    """A plan on twins read now; deployments may be half a minute old: hubs list them a few times a minute only."""
    portal.reading.forget(wish.device)
    return plan_wish(portal.reading, wish, portal.backups)


def apply_wish(portal: Portal, session: Session, wish: Wish, digest: str | None, allowed: dict[str, int]) -> str:
    """Plans again, compares, applies, and writes the audit line whatever happens."""
    what = {"device": wish.device, "exposure": wish.name, "role": session.role}
    try:
        planned = plan_fresh(portal, wish)
        check_expected(planned.plan, digest)
        check_dangers(planned.plan, allowed)
        done = apply_plan(portal.hub, planned.plan, portal.operator(session))
    except (Refused, InputError, HubError) as error:
        portal.audit.write(session.user, wish.kind, **what, result="refused", why=str(error)[:300])
        raise
    portal.audit.write(session.user, wish.kind, **what, result=done, digest=planned.plan.digest[:16])
    portal.reading.forget(wish.device)
    portal.watching.poke(wish.device)
    return done


def _count(value: str) -> int:
    return int(value) if value.isdigit() and len(value) < 7 else 0


def _back(wish: Wish) -> str:
    if wish.kind in ("expose", "disable", "enable"):
        return exposure_path(wish.device, wish.name)
    return f"/devices/{path_of(wish.device)}"
