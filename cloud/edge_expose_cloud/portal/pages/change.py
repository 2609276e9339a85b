"""Routes that change: the forms, the check as you type, the plan, and Apply. Each works as a plain form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import InputError, Missing, Refused
from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.plan.render import lines_of
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import (
    KINDS,
    Wish,
    base_of,
    declared_now,
    plan_wish,
    site_base,
    wish_of,
)
from edge_expose_cloud.portal.forms.fields import (
    MOST_ROWS,
    Draft,
    ExposeForm,
    fields_of,
    form_of_exposure,
    form_of_preset,
    in_words,
    merged_form,
    place_of,
    read_form,
    reserved_rows,
    site_fields,
    site_values,
)
from edge_expose_cloud.portal.pages.form import Trouble, expose_page, filled, look_again, network_page
from edge_expose_cloud.portal.pages.templates import exposure_path, path_of
from edge_expose_cloud.portal.shell import CheckedDep, OperatorDep, Portal, PortalDep, page
from edge_expose_cloud.portal.views.device import DeviceView, device_view
from edge_expose_cloud.portal.views.presets import BY_KEY
from edge_expose_cloud.usecases.apply import apply_plan, check_dangers, check_expected
from edge_expose_cloud.usecases.operator import is_too_long
from edge_expose_contract.merging import same_json
from edge_expose_contract.models import NOTE_BYTES

Problem = Refused | HubError
MOST_WORDS = 2000
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
    view = device_view(portal.last_known, device)
    form = form_of_preset(BY_KEY.get(preset), module, _ports_of(view, module), address, name)
    return expose_page(portal, session, view, form, None, preset=preset)


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
    draft = Draft(device, merged_form(before, typed, after), chosen)
    return RedirectResponse(f"/devices/{path_of(device)}/drafts/{portal.drafts.put(draft)}", 303)


@router.get("/devices/{device}/drafts/{draft}")
def draft_form(portal: PortalDep, session: OperatorDep, device: str, draft: str) -> Response:
    """The form with the preset that was chosen; an empty one where it is no longer kept."""
    kept = portal.drafts.get(draft)
    if kept is None or kept.device != device:
        return RedirectResponse(f"/devices/{path_of(device)}/expose", 303)
    return expose_page(portal, session, device_view(portal.last_known, device), kept.form, None, preset=kept.preset)


@router.get("/devices/{device}/exposures/{name}/edit")
def edit_form(portal: PortalDep, session: OperatorDep, device: str, name: str) -> Response:
    view = device_view(portal.last_known, device)
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
    return expose_page(portal, session, view, form_of_exposure(name, exposure), view.declared_raw[name])


@router.post("/devices/{device}/check")
def check(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Validation as you type: the same rules, on what was read a moment ago."""
    wish, _ = _exposure_wish(device, fields)
    try:
        _check_name(wish, declared_now(portal.reading, wish))
        planned = plan_wish(portal.reading, wish, portal.backups)
        return _checked(portal, session, wish, list(planned.findings), planned)
    except InputError as error:
        return _checked(portal, session, wish, error.findings, None)
    except Refused as error:
        return page(portal, session, "check.html", findings=[], places={}, lines=[], impact=(), refused=error)


def _checked(portal: Portal, session: Session, wish: Wish, findings: list[Finding], planned: Plan | None) -> Response:
    lines = [line for line in lines_of(planned) if line.what.startswith("Service")] if planned is not None else []
    findings = [in_words(item) for item in findings]
    places = {item: place_of(item, wish.name) for item in findings}
    impact = planned.impact if planned is not None else ()
    return page(
        portal, session, "check.html", findings=findings, places=places, lines=lines, impact=impact, refused=None
    )


@router.post("/devices/{device}/expose")
def plan_exposure(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    wish, form = _exposure_wish(device, fields)
    try:
        return _to_plan(portal, session, wish)
    except (InputError, HubError) as error:
        view = device_view(portal.last_known, device)
        return expose_page(portal, session, view, form, wish.base, _trouble(error))


def _check_name(wish: Wish, now: object) -> None:
    """A new exposure is never another that is there. Raises InputError."""
    if wish.kind == "expose" and wish.base is None and now is not None:
        what = f"there is an exposure {wish.name!r} already"
        raise InputError([Finding("InvalidName", "error", "name", what, "choose another name, or edit it")])


def _exposure_wish(device: str, fields: dict[str, str]) -> tuple[Wish, ExposeForm]:
    form, base = read_form(fields), base_of(fields.get("base", ""))
    wanted = fields_of(form, base or {}, dt.datetime.now(dt.UTC))
    return Wish("expose", device, form.get("name"), wanted, base), form


def _trouble(error: InputError | HubError) -> Trouble:
    return Trouble(tuple(error.findings)) if isinstance(error, InputError) else Trouble(problem=error)


# -- the Compute network form --


@router.get("/devices/{device}/network")
def network_form(portal: PortalDep, session: OperatorDep, device: str) -> Response:
    view = device_view(portal.last_known, device)
    base = site_base(view.site)
    return network_page(portal, session, view, *site_values(base), base)


@router.post("/devices/{device}/network")
def plan_network(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    site, wrong = site_fields(fields)
    wish = Wish("ranges", device, "", site, base_of(fields.get("base", "")))
    try:
        if wrong:
            raise InputError(wrong)
        return _to_plan(portal, session, wish)
    except (InputError, HubError) as error:
        view, rows = device_view(portal.last_known, device), reserved_rows(fields)
        return network_page(portal, session, view, fields, rows, wish.base, _trouble(error))


# -- plan and apply --


@router.post("/devices/{device}/plan")
def plan_other(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Remove, disable, enable, revert, release: one button each."""
    kind = next((kind for kind in KINDS if kind == fields.get("kind")), None)
    wish = Wish(kind, device, fields.get("name", "")) if kind is not None else None
    if wish is None or wish.has_form:
        raise Refused("this page asks for something unknown", "start again from the device's page")
    return _to_plan(portal, session, wish)


@router.get("/devices/{device}/plans/{plan}")
def plan_page(portal: PortalDep, session: OperatorDep, device: str, plan: str) -> Response:
    """A plan that was asked for, as it is now."""
    return _plan(portal, session, _kept(portal, device, plan))


@router.get("/devices/{device}/plans/{plan}/form")
def plan_form(portal: PortalDep, session: OperatorDep, device: str, plan: str) -> Response:
    """Back from a plan to the form as it was filled."""
    return filled(portal, session, _kept(portal, device, plan))


def _kept(portal: Portal, device: str, plan: str) -> Wish:
    wish = portal.plans.get(plan)
    if wish is None or wish.device != device:
        raise Missing("this plan has expired", "nothing was sent; start again from the device's page")
    return wish


@router.post("/devices/{device}/change")
def change_plan(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Back from a plan to the form as it was filled."""
    return filled(portal, session, wish_of(device, fields.get("wish", "")))


def _to_plan(portal: Portal, session: Session, wish: Wish) -> Response:
    """To the plan's own page, or the form again where there is no plan."""
    found = _plan(portal, session, wish)
    if found.status_code != 200:
        return found
    return RedirectResponse(f"{_device(wish)}/plans/{portal.plans.put(wish)}", 303)


def _plan(
    portal: Portal, session: Session, wish: Wish, problem: Problem | None = None, status: int = 200, note: str = ""
) -> Response:
    """The plan, or the form again when somebody changed meanwhile what it was opened on."""
    planned = plan_fresh(portal, wish)
    if (
        wish.has_form and planned.changes
    ):  # one that has been done is looked at again: there is nothing to be in its way
        now = declared_now(portal.reading, wish)
        _check_name(wish, now)
        if not same_json(now, wish.base):
            return look_again(portal, session, wish, now)
    return _plan_page(portal, session, wish, planned, problem, status, note)


def _plan_page(
    portal: Portal, session: Session, wish: Wish, planned: Plan, problem: Problem | None, status: int, note: str
) -> Response:
    planned = replace(planned, findings=tuple(in_words(item) for item in planned.findings))
    return page(
        portal,
        session,
        "plan.html",
        status=status,
        device=wish.device,
        wish=wish,
        planned=planned,
        lines=lines_of(planned),
        back=_back(wish) if wish.base is not None or wish.kind != "expose" else _device(wish),
        refused=problem,
        again=isinstance(problem, HubError),
        note=note,
    )


@router.post("/devices/{device}/apply")
def apply(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Does exactly the plan that was shown, or shows the new one."""
    wish = wish_of(device, fields.get("wish", ""))
    digest, note = fields.get("digest", ""), fields.get("note", "").strip()
    allowed = {
        name.removeprefix("allow-"): _count(value) for name, value in fields.items() if name.startswith("allow-")
    }
    try:
        done = apply_wish(portal, session, wish, digest, allowed, note)
    except InputError as error:
        if not wish.has_form:
            raise
        return filled(portal, session, wish, _trouble(error))
    except Refused as error:
        return _plan_again(portal, session, wish, error, 409, note)
    except HubError as error:
        return _keep_plan(portal, session, wish, digest, error, note)
    target = _back(wish)
    mark = "follow=1" if wish.kind in ("expose", "enable") else "done=1"
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{mark}" if done else target, 303)


def _plan_again(portal: Portal, session: Session, wish: Wish, problem: Problem, status: int, note: str) -> Response:
    """The plan as it is now, under what kept the one before from being done; that alone when there is none."""
    try:
        return _plan(portal, session, wish, problem, status, note)
    except (InputError, Refused, HubError) as error:
        if isinstance(error, InputError) and wish.has_form:
            return filled(portal, session, wish, _trouble(error))
        raise problem from None


def _keep_plan(portal: Portal, session: Session, wish: Wish, digest: str, problem: HubError, note: str) -> Response:
    """While the hub fails nothing is planned; what was read last gives the plan that was shown, as its digest says."""
    try:
        planned = plan_wish(portal.last_known, wish, portal.backups)
    except (InputError, Refused, HubError):
        raise problem from None
    if planned.digest != digest:
        return _plan_again(portal, session, wish, problem, 502, note)
    return _plan_page(portal, session, wish, planned, problem, 502, note)


def plan_fresh(portal: Portal, wish: Wish) -> Plan:
    """A plan on twins read now; deployments may be half a minute old: hubs list them a few times a minute only."""
    portal.reading.forget(wish.device)
    return plan_wish(portal.reading, wish, portal.backups)


def apply_wish(
    portal: Portal, session: Session, wish: Wish, digest: str | None, allowed: Mapping[str, int], note: str = ""
) -> str:
    """Plans again, compares, applies, and writes the audit line whatever happens. `note` says why."""
    what = {"device": wish.device, "exposure": wish.name, "role": session.role}
    what |= {"via": session.via} if session.via else {}
    try:
        if is_too_long(note):
            raise Refused(f"the note is longer than {NOTE_BYTES} bytes", "shorten it; nothing was sent")
        planned = plan_fresh(portal, wish)
        check_expected(planned, digest)
        check_dangers(planned, allowed)
        done = apply_plan(portal.hub, planned, portal.operator(session, note))
    except (Refused, InputError, HubError) as error:
        portal.audit.write(session.user, wish.kind, **what, result="refused", why=str(error)[:300])
        raise
    words = "; ".join([*(f"{line.what} {line.says}" for line in lines_of(planned)), *(i.text for i in planned.impact)])
    done_what = {**what, "result": done, "digest": planned.digest[:16], "plan": words[:MOST_WORDS], "note": note}
    portal.audit.write(session.user, wish.kind, **{key: text for key, text in done_what.items() if text})
    portal.reading.forget(wish.device)
    portal.watching.poke(wish.device)
    return done


def _count(value: str) -> int:
    return int(value) if value.isdigit() and len(value) < 7 else 0


def _back(wish: Wish) -> str:
    return exposure_path(wish.device, wish.name) if wish.kind in ("expose", "disable", "enable") else _device(wish)


def _device(wish: Wish) -> str:
    return f"/devices/{path_of(wish.device)}"
