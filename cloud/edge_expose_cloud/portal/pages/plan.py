"""Routes of a plan: it is asked for, shown at a URL of its own, and applied. Each works as a plain form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.plan.render import lines_of
from edge_expose_cloud.portal.apply import apply_change, plan_fresh
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import (
    ChangeRequest,
    PlanRequest,
    change_of,
    check_name,
    declared_now,
    plan_change,
    pressed,
)
from edge_expose_cloud.portal.forms.fields import in_words
from edge_expose_cloud.portal.pages.drafts import draft_or_refuse, draft_page, look_again, trouble_of
from edge_expose_cloud.portal.paths import device_path
from edge_expose_cloud.portal.shell import CheckedDep, OperatorDep, Portal, PortalDep, page
from edge_expose_contract.merging import same_json

Problem = Refused | HubError
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.post("/devices/{device}/plan")
def plan_other(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Remove, disable, enable, revert, release: one button each."""
    return to_plan(portal, session, pressed(device, fields))


@router.post("/devices/{device}/plans")
def plan_anew(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """What a browser still has of a plan that is no longer kept here."""
    asked = PlanRequest(change_of(device, fields.get("change", "")), fields.get("note", ""))
    return RedirectResponse(plan_place(portal, asked), 303)


@router.get("/devices/{device}/plans/{plan}")
def plan_page(portal: PortalDep, session: OperatorDep, device: str, plan: str) -> Response:
    """A plan that was asked for, as it is now; its form again, where there is none any more."""
    asked = portal.plans.get(plan)
    if asked is None or asked.change.device != device:
        return page(portal, session, "lost.html", status=404, device=device, what="plan")
    try:
        return _plan(portal, session, asked.change, note=asked.note)
    except (InputError, HubError) as error:
        if not asked.change.has_form:
            raise
        return draft_page(portal, session, draft_or_refuse(asked.change), trouble_of(error))


def to_plan(portal: Portal, session: Session, change: ChangeRequest) -> Response:
    """To the plan's own page, or the form again where there is no plan."""
    found = _plan(portal, session, change)
    if found.status_code != 200:
        return found
    return RedirectResponse(plan_place(portal, PlanRequest(change)), 303)


def plan_place(portal: Portal, asked: PlanRequest) -> str:
    """Keeps what was asked for; the URL of its plan."""
    return device_path(asked.change.device, f"plans/{portal.plans.put(asked)}")


def _plan(
    portal: Portal,
    session: Session,
    change: ChangeRequest,
    problem: Problem | None = None,
    status: int = 200,
    note: str = "",
) -> Response:
    """The plan, or the form again when somebody changed meanwhile what it was opened on."""
    planned = plan_fresh(portal, change)
    if change.has_form and planned.changes:  # one that was applied is looked at again: nothing is in its way
        now = declared_now(portal.reading, change)
        check_name(change, now)
        if not same_json(now, change.base):
            return look_again(portal, session, change, now)
    return _plan_page(portal, session, change, planned, problem, status, note)


def _plan_page(
    portal: Portal,
    session: Session,
    change: ChangeRequest,
    planned: Plan,
    problem: Problem | None,
    status: int,
    note: str,
) -> Response:
    planned = replace(planned, findings=tuple(in_words(item) for item in planned.findings))
    new = change.kind == "expose" and change.base is None
    return page(
        portal,
        session,
        "plan.html",
        status=status,
        device=change.device,
        change=change,
        planned=planned,
        lines=lines_of(planned),
        back=device_path(change.device) if new else change.place,
        refused=problem,
        again=isinstance(problem, HubError),
        note=note,
    )


@router.post("/devices/{device}/apply")
def apply(portal: PortalDep, session: OperatorDep, fields: CheckedDep, device: str) -> Response:
    """Does exactly the plan that was shown, or shows the new one."""
    change = change_of(device, fields.get("change", ""))
    digest, note = fields.get("digest", ""), fields.get("note", "").strip()
    try:
        done = apply_change(portal, session, change, digest, _allowed(fields), note)
    except InputError as error:
        if not change.has_form:
            raise
        return draft_page(portal, session, draft_or_refuse(change), trouble_of(error))
    except Refused as error:
        return _plan_again(portal, session, change, error, 409, note)
    except HubError as error:
        return _keep_plan(portal, session, change, digest, error, note)
    mark = "follow=1" if change.kind in ("expose", "enable") else "done=1"
    joint = "&" if "?" in change.place else "?"
    return RedirectResponse(f"{change.place}{joint}{mark}" if done else change.place, 303)


def _plan_again(
    portal: Portal, session: Session, change: ChangeRequest, problem: Problem, status: int, note: str
) -> Response:
    """The plan as it is now, under what kept the one before from being done; that alone when there is none."""
    try:
        return _plan(portal, session, change, problem, status, note)
    except (InputError, Refused, HubError) as error:
        if isinstance(error, InputError) and change.has_form:
            return draft_page(portal, session, draft_or_refuse(change), trouble_of(error))
        raise problem from None


def _keep_plan(
    portal: Portal, session: Session, change: ChangeRequest, digest: str, problem: HubError, note: str
) -> Response:
    """While the hub fails nothing is planned; what was read last gives the plan that was shown, as its digest says."""
    try:
        planned = plan_change(portal.last_known, change, portal.backups)
    except (InputError, Refused, HubError):
        raise problem from None
    if planned.digest != digest:
        return _plan_again(portal, session, change, problem, 502, note)
    return _plan_page(portal, session, change, planned, problem, 502, note)


def _allowed(fields: Mapping[str, str]) -> dict[str, int]:
    """The dangers that somebody ticked, with their counts."""
    ticked = {name.removeprefix("allow-"): text for name, text in fields.items() if name.startswith("allow-")}
    return {name: int(text) if text.isdigit() and len(text) < 7 else 0 for name, text in ticked.items()}
