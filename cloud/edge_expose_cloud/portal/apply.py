"""A plan on what is there now, and its application with the audit line: the same for the pages and for the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.plan.render import lines_of
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import ChangeRequest, plan_change
from edge_expose_cloud.portal.shell import Portal
from edge_expose_cloud.usecases.apply import apply_plan, check_dangers, check_expected
from edge_expose_cloud.usecases.operator import is_too_long
from edge_expose_contract.models import NOTE_BYTES

MOST_WORDS: Final = 2000


def plan_fresh(portal: Portal, change: ChangeRequest) -> Plan:
    """A plan on twins and deployments that are read now, as the command line reads them."""
    portal.reading.forget(change.device)
    return plan_change(portal.for_change, change, portal.backups)


def apply_change(
    portal: Portal,
    session: Session,
    change: ChangeRequest,
    digest: str | None,
    allowed: Mapping[str, int],
    note: str = "",
) -> str:
    """Plans again, compares, applies, and writes the audit line whatever happens. `note` says why."""
    what = {"device": change.device, "exposure": change.name, "role": session.role}
    what |= {"via": session.via} if session.via else {}
    try:
        if is_too_long(note):
            raise Refused(f"the note is longer than {NOTE_BYTES} bytes", "shorten it; nothing was sent")
        planned = plan_fresh(portal, change)
        check_expected(planned, digest)
        check_dangers(planned, allowed)
        done = apply_plan(portal.hub, planned, portal.operator(session, note))
    except (Refused, InputError, HubError) as error:
        portal.audit.write(session.user, change.kind, **what, result="refused", why=str(error)[:300])
        raise
    words = "; ".join([*(f"{line.what} {line.says}" for line in lines_of(planned)), *(i.text for i in planned.impact)])
    done_what = {**what, "result": done, "digest": planned.digest[:16], "plan": words[:MOST_WORDS], "note": note}
    portal.audit.write(session.user, change.kind, **{key: text for key, text in done_what.items() if text})
    portal.reading.forget(change.device)
    portal.poller.poke(change.device)
    return done
