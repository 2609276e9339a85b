"""What somebody sent after the session had ended goes through the sign-in page, and is shown again, not done.

It travels in the sign-in page itself: nothing of a stranger is kept here. Only forms and plans travel, no password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.portal.forms.changes import PlanRequest, change_of, json_of, pressed
from edge_expose_cloud.portal.forms.drafts import posted_draft
from edge_expose_cloud.portal.pages.drafts import draft_place
from edge_expose_cloud.portal.pages.plan import plan_place
from edge_expose_cloud.portal.shell import Portal

#: characters: a form with 300 rows of ports fits, and a stranger's answer is not much larger than a sign-in page
MOST_TYPED: Final = 16_384
#: the end of a form's action -> what is shown again
_PAGES: Final[Mapping[str, str]] = {
    "expose": "expose",
    "preset": "expose",
    "network": "network",
    "plan": "button",
    "plans": "plan",
    "change": "plan",
    "apply": "plan",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """`page` says which one the `fields` were sent from."""

    page: str
    device: str
    fields: Mapping[str, str]

    def to_text(self) -> str:
        return json.dumps({"page": self.page, "device": self.device, "fields": dict(self.fields)})


def typed_in(request: Request, fields: Mapping[str, str]) -> Typed | None:
    """None for a form that does not travel, such as one with a password."""
    device = request.path_params.get("device")
    page = _PAGES.get(request.url.path.rpartition("/")[2])
    if request.method != "POST" or device is None or page is None:
        return None
    kept = {name: text for name, text in fields.items() if name != "csrf"}
    if sum(len(name) + len(text) for name, text in kept.items()) > MOST_TYPED:
        return None
    return Typed(page, device, kept)


def typed_of(text: str) -> Typed | None:
    """From the hidden field of a sign-in page, which anybody may have written."""
    try:
        body = json_of(text or "null")
        page, device, fields = body["page"], body["device"], body["fields"]
        told = {name: value for name, value in fields.items() if isinstance(value, str)}
    except (Refused, TypeError, KeyError, AttributeError):
        return None
    return Typed(page, device, told) if page in _PAGES.values() and isinstance(device, str) else None


def resume(portal: Portal, typed: Typed) -> str:
    """The URL where it is shown again. Raises Refused for what no page of ours sends."""
    match typed.page:
        case "plan":
            change = change_of(typed.device, typed.fields.get("change", ""))
            return plan_place(portal, PlanRequest(change, typed.fields.get("note", "")))
        case "button":
            return plan_place(portal, PlanRequest(pressed(typed.device, typed.fields)))
        case "network":
            return draft_place(portal, posted_draft(typed.device, "network", typed.fields))
        case _:
            return draft_place(portal, posted_draft(typed.device, "expose", typed.fields))
