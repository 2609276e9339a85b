"""The pages of the two forms: empty, filled, refused, and anew when somebody changed what a form was opened on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastapi import Response

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import HubError, Json
from edge_expose_cloud.plan.render import differences
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import KINDS, Wish
from edge_expose_cloud.portal.forms.fields import (
    MORE,
    OPEN_FOR,
    ExposeForm,
    Reserved,
    form_of_exposure,
    in_words,
    label_of,
    merged_form,
    merged_site,
    place_of,
    site_values,
)
from edge_expose_cloud.portal.shell import Portal, page
from edge_expose_cloud.portal.views.device import DeviceView, device_view
from edge_expose_cloud.portal.views.presets import PRESETS
from edge_expose_contract.parsing import parse_exposure


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


def expose_page(
    portal: Portal,
    session: Session,
    view: DeviceView,
    form: ExposeForm,
    base: Json | None,
    trouble: Trouble = NONE,
    *,
    preset: str = "",
) -> Response:
    """`base` is the declaration that the form is about, None for a new exposure."""
    name, editing = form.get("name"), base is not None
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
        view=view,
        device=view.device_id,
        form=form,
        declared=_text(base),
        editing=name if editing else "",
        trouble=trouble,
        elsewhere=elsewhere,
        wrong=wrong,
        labels={place: label_of(place, form, editing) for place in wrong},
        presets=PRESETS,
        preset=preset,
        open_for=OPEN_FOR,
        more_open=any(form.get(key) or key in wrong for key in MORE),
    )


def network_page(
    portal: Portal,
    session: Session,
    view: DeviceView,
    values: dict[str, str],
    rows: list[Reserved],
    base: Json | None,
    trouble: Trouble = NONE,
) -> Response:
    return page(
        portal,
        session,
        "network.html",
        status=trouble.status,
        view=view,
        device=view.device_id,
        values=values,
        rows=[*rows, ("", "")],
        declared=_text(base),
        trouble=trouble,
        findings=[in_words(item) for item in trouble.findings],
    )


def filled(portal: Portal, session: Session, wish: Wish, trouble: Trouble = NONE) -> Response:
    """The form that stands for a wish. Raises Refused when none does."""
    view = device_view(portal.last_known, wish.device)
    if wish.kind == "ranges":
        return network_page(portal, session, view, *site_values(wish.fields), wish.base, trouble)
    form = _form_of(wish.name, wish.fields)
    if wish.kind != "expose" or form is None:
        raise Refused("there is no form for this plan", "start again from the device's page")
    return expose_page(portal, session, view, form, wish.base, trouble)


def look_again(portal: Portal, session: Session, wish: Wish, now: Any) -> Response:
    """The form on what is declared `now`, with what was typed since it was opened on `wish.base`."""
    base = wish.base or {}
    changed = tuple(differences(base, now))
    last = next((entry for entry in portal.audit.of_device(wish.device) if _is_change_of(entry, wish)), None)
    trouble = Trouble(changed=changed, last=last)
    view = device_view(portal.last_known, wish.device)
    if wish.kind == "ranges":
        site = merged_site(base, wish.fields, now)
        return network_page(portal, session, view, *site_values(site), now, trouble)
    before, typed, after = (_form_of(wish.name, item) for item in (base, wish.fields, now))
    if typed is None:
        raise Refused("there is no form for this plan", "start again from the device's page")
    form = merged_form(before, typed, after) if before is not None and after is not None else typed
    return expose_page(portal, session, view, form, now if isinstance(now, dict) else None, trouble)


def _form_of(name: str, fields: Any) -> ExposeForm | None:
    exposure, _ = parse_exposure(name, fields) if isinstance(fields, dict) else (None, [])
    return form_of_exposure(name, exposure) if exposure is not None else None


def _is_change_of(entry: dict[str, str], wish: Wish) -> bool:
    done = entry.get("action") in KINDS and entry.get("result") != "refused"
    return done and entry.get("exposure") == wish.name


def _text(base: Json | None) -> str:
    return "" if base is None else json.dumps(base, sort_keys=True)
