"""The pages of the two forms: empty, filled, refused, and anew when somebody changed what a form was opened on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import Response

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import HubError, Json
from edge_expose_cloud.plan.render import differences
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import KINDS, ChangeRequest
from edge_expose_cloud.portal.forms.drafts import Draft, ExposureDraft, NetworkDraft, draft_of, form_of
from edge_expose_cloud.portal.forms.fields import (
    MORE,
    OPEN_FOR,
    in_words,
    label_of,
    merged_form,
    merged_site,
    place_of,
    site_values,
)
from edge_expose_cloud.portal.paths import device_path
from edge_expose_cloud.portal.shell import Portal, page
from edge_expose_cloud.portal.views.device import device_view
from edge_expose_cloud.portal.views.presets import PRESETS


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a form is shown again: what is wrong in it, a hub that fails, or what `changed` while it was open.

    `changed` are (field, before, now); `last` is the last audit entry of it, since a hub does not tell who wrote.
    """

    findings: tuple[Finding, ...] = ()
    problem: HubError | None = None
    changed: tuple[tuple[str, str, str], ...] = ()
    last: dict[str, str] | None = None

    @property
    def status(self) -> int:
        return 422 if self.findings else 502 if self.problem else 409 if self.changed else 200


NONE = Trouble()


def trouble_of(error: InputError | HubError) -> Trouble:
    return Trouble(tuple(error.findings)) if isinstance(error, InputError) else Trouble(problem=error)


def draft_page(portal: Portal, session: Session, draft: Draft, trouble: Trouble = NONE) -> Response:
    if isinstance(draft, NetworkDraft):
        return _network_page(portal, session, draft, trouble)
    return _exposure_page(portal, session, draft, trouble)


def draft_place(portal: Portal, draft: Draft) -> str:
    """Keeps the draft; the URL of its page."""
    return device_path(draft.device, f"drafts/{portal.drafts.put(draft)}")


def _exposure_page(portal: Portal, session: Session, draft: ExposureDraft, trouble: Trouble) -> Response:
    form, name, editing = draft.form, draft.form.get("name"), draft.base is not None
    wrong: dict[str, Finding] = {}
    elsewhere: list[Finding] = []
    for item in map(in_words, trouble.findings):
        place = place_of(item, name)
        if item.severity == "error" and place not in wrong and label_of(place, form, editing):
            wrong[place] = item
        else:
            elsewhere.append(item)
    return page(
        portal,
        session,
        "expose.html",
        status=trouble.status,
        view=device_view(portal.last_known, draft.device),
        device=draft.device,
        form=form,
        declared=_text(draft.base),
        editing=name if editing else "",
        trouble=trouble,
        elsewhere=elsewhere,
        wrong=wrong,
        labels={place: label_of(place, form, editing) for place in wrong},
        presets=PRESETS,
        preset=draft.preset,
        open_for=OPEN_FOR,
        more_open=any(form.get(key) or key in wrong for key in MORE),
    )


def _network_page(portal: Portal, session: Session, draft: NetworkDraft, trouble: Trouble) -> Response:
    return page(
        portal,
        session,
        "network.html",
        status=trouble.status,
        view=device_view(portal.last_known, draft.device),
        device=draft.device,
        values=draft.values,
        rows=[*draft.rows, ("", "")],
        declared=_text(draft.base),
        trouble=trouble,
        findings=[in_words(item) for item in trouble.findings],
    )


def draft_or_refuse(change: ChangeRequest) -> Draft:
    """The form that stands for a change. Raises Refused when none does."""
    draft = draft_of(change)
    if draft is None:
        raise Refused("this plan does not come from a form", "start again from the device's page")
    return draft


def look_again(portal: Portal, session: Session, change: ChangeRequest, now: Any) -> Response:
    """The form on what is declared `now`, with what was typed since it was opened on `change.base`."""
    base = change.base or {}
    changed = tuple(differences(base, now))
    last = next((entry for entry in portal.audit.of_device(change.device) if _is_about(entry, change)), None)
    trouble = Trouble(changed=changed, last=last)
    if change.kind == "ranges":
        values, rows = site_values(merged_site(base, change.fields, now))
        return draft_page(portal, session, NetworkDraft(change.device, values, tuple(rows), now), trouble)
    typed = draft_or_refuse(change)
    assert isinstance(typed, ExposureDraft)
    before, after = form_of(change.name, base), form_of(change.name, now)
    form = merged_form(before, typed.form, after) if before is not None and after is not None else typed.form
    fresh = ExposureDraft(change.device, form, now if isinstance(now, dict) else None)
    return draft_page(portal, session, fresh, trouble)


def _is_about(entry: dict[str, str], change: ChangeRequest) -> bool:
    done = entry.get("action") in KINDS and entry.get("result") != "refused"
    return done and entry.get("exposure") == change.name


def _text(base: Json | None) -> str:
    return "" if base is None else json.dumps(base, sort_keys=True)
