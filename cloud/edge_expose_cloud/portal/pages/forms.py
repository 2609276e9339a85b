"""Routes of the two forms: expose an app, the Compute network; with presets, drafts and the check as you type."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.plan.render import lines_of
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import (
    ChangeRequest,
    base_of,
    change_of,
    check_name,
    declared_now,
    plan_change,
    site_base,
)
from edge_expose_cloud.portal.forms.drafts import ExposureDraft, FormName, NetworkDraft, posted_draft
from edge_expose_cloud.portal.forms.fields import (
    MOST_ROWS,
    fields_of,
    form_of_exposure,
    form_of_preset,
    in_words,
    merged_form,
    place_of,
    read_form,
    site_fields,
    site_values,
)
from edge_expose_cloud.portal.pages.drafts import draft_or_refuse, draft_page, draft_place, trouble_of
from edge_expose_cloud.portal.pages.plan import to_plan
from edge_expose_cloud.portal.shell import CheckedDep, OperatorDep, Portal, PortalDep, page
from edge_expose_cloud.portal.views.device import DeviceView, device_view
from edge_expose_cloud.portal.views.presets import BY_KEY

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


# -- expose an app --


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
    view = device_view(portal.last_known, device)
    form = form_of_preset(BY_KEY.get(preset), module, _ports_of(view, module), address, name)
    return draft_page(portal, session, ExposureDraft(device, form, None, preset))


def _ports_of(view: DeviceView, module: str) -> tuple[str, ...]:
    return next((item.ports for item in view.modules if item.name == module), ())


@router.post("/devices/{device}/expose/preset")
def choose_preset(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """The form as it is filled, with another preset: only what the one before filled in gives way."""
    view, typed = device_view(portal.last_known, device), read_form(fields)
    module, chosen = typed.get("module"), fields.get("to", "")
    before, after = (
        form_of_preset(BY_KEY.get(key), module, _ports_of(view, module), "")
        for key in (fields.get("preset", ""), chosen)
    )
    draft = ExposureDraft(device, merged_form(before, typed, after), None, chosen)
    return RedirectResponse(draft_place(portal, draft), 303)


@router.get("/devices/{device}/exposures/{name}/edit")
def edit_form(portal: PortalDep, session: OperatorDep, device: str, name: str) -> Response:
    view = device_view(portal.last_known, device)
    exposure = view.declared.get(name)
    if exposure is None:
        raise Refused(f"device {device} declares no valid exposure {name!r}", "see the page of the exposure")
    if name in view.owners:
        raise Refused(
            f"exposure {name!r} is set by the deployment {view.owners[name]}", "edit the spec of that deployment"
        )
    if len(exposure.ports) > MOST_ROWS:
        raise Refused(
            f"exposure {name!r} has {len(exposure.ports)} port entries, more than the form can hold",
            "combine adjacent ports into a range such as 5000-5010, in the twin or with `edge-expose expose`",
        )
    draft = ExposureDraft(device, form_of_exposure(name, exposure), view.declared_raw[name])
    return draft_page(portal, session, draft)


@router.post("/devices/{device}/check")
def check(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Validation as you type: the same rules, on what was read a moment ago."""
    change = _exposure_change(device, fields)
    try:
        check_name(change, declared_now(portal.reading, change))
        planned = plan_change(portal.reading, change, portal.backups)
        return _checked(portal, session, change, list(planned.findings), planned)
    except InputError as error:
        return _checked(portal, session, change, error.findings, None)
    except Refused as error:
        return page(portal, session, "check.html", findings=[], places={}, planned=None, lines=[], refused=error)


def _checked(
    portal: Portal, session: Session, change: ChangeRequest, findings: list[Finding], planned: Plan | None
) -> Response:
    lines = [line for line in lines_of(planned) if line.what.startswith("Service")] if planned is not None else []
    findings = [in_words(item) for item in findings]
    places = {item: place_of(item, change.name) for item in findings}
    return page(
        portal, session, "check.html", findings=findings, places=places, planned=planned, lines=lines, refused=None
    )


@router.post("/devices/{device}/expose")
def plan_exposure(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    try:
        return to_plan(portal, session, _exposure_change(device, fields))
    except (InputError, HubError) as error:
        return draft_page(portal, session, posted_draft(device, "expose", fields), trouble_of(error))


def _exposure_change(device: str, fields: dict[str, str]) -> ChangeRequest:
    form, base = read_form(fields), base_of(fields.get("base", ""))
    wanted = fields_of(form, base or {}, dt.datetime.now(dt.UTC))
    return ChangeRequest("expose", device, form.get("name"), wanted, base)


# -- the Compute network --


@router.get("/devices/{device}/network")
def network_form(portal: PortalDep, session: OperatorDep, device: str) -> Response:
    base = site_base(device_view(portal.last_known, device).site)
    values, rows = site_values(base)
    return draft_page(portal, session, NetworkDraft(device, values, tuple(rows), base))


@router.post("/devices/{device}/network")
def plan_network(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    site, wrong = site_fields(fields)
    change = ChangeRequest("ranges", device, "", site, base_of(fields.get("base", "")))
    try:
        if wrong:
            raise InputError(wrong)
        return to_plan(portal, session, change)
    except (InputError, HubError) as error:
        return draft_page(portal, session, posted_draft(device, "network", fields), trouble_of(error))


# -- drafts: forms that are shown as somebody filled them --


@router.post("/devices/{device}/change")
def change_plan(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Back from a plan to the form as it was filled."""
    draft = draft_or_refuse(change_of(device, fields.get("change", "")))
    return RedirectResponse(draft_place(portal, draft), 303)


@router.post("/devices/{device}/drafts")
def keep_draft(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """What a browser still has of a draft that is no longer kept here."""
    name: FormName = "network" if fields.get("page") == "network" else "expose"
    return RedirectResponse(draft_place(portal, posted_draft(device, name, fields)), 303)


@router.get("/devices/{device}/drafts/{draft}")
def draft_form(portal: PortalDep, session: OperatorDep, device: str, draft: str) -> Response:
    kept = portal.drafts.get(draft)
    if kept is None or kept.device != device:
        return page(portal, session, "lost.html", status=404, device=device, what="form")
    return draft_page(portal, session, kept)
