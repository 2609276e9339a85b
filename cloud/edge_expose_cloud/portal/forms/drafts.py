"""A form as somebody filled it, with what it was opened on: of posted fields, or of a change. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.portal.forms.changes import ChangeRequest, base_of
from edge_expose_cloud.portal.forms.fields import (
    ExposeForm,
    Reserved,
    form_of_exposure,
    read_form,
    reserved_rows,
    site_values,
)
from edge_expose_contract.parsing import parse_exposure

FormName = Literal["expose", "network"]


@dataclass(frozen=True, slots=True)
class ExposureDraft:
    """`base` is the declaration that the form edits, None for a new exposure; `preset` the one chosen last."""

    device: str
    form: ExposeForm
    base: Json | None = None
    preset: str = ""


@dataclass(frozen=True, slots=True)
class NetworkDraft:
    """The Compute network form; `rows` are the reservations."""

    device: str
    values: Mapping[str, str]
    rows: tuple[Reserved, ...]
    base: Json | None = None


Draft = ExposureDraft | NetworkDraft


def posted_draft(device: str, name: FormName, fields: Mapping[str, str]) -> Draft:
    """Raises Refused for a hidden field that no page of ours wrote."""
    base = base_of(fields.get("base", ""))
    if name == "network":
        return NetworkDraft(device, dict(fields), tuple(reserved_rows(fields)), base)
    return ExposureDraft(device, read_form(fields), base, fields.get("preset", ""))


def draft_of(change: ChangeRequest) -> Draft | None:
    """The form that stands for a change, None when none does."""
    if change.kind == "ranges":
        values, rows = site_values(change.fields)
        return NetworkDraft(change.device, values, tuple(rows), change.base)
    form = form_of(change.name, change.fields)
    if change.kind != "expose" or form is None:
        return None
    return ExposureDraft(change.device, form, change.base)


def form_of(name: str, fields: Any) -> ExposeForm | None:
    """The form of a declaration, None for one that is not valid."""
    exposure, _ = parse_exposure(name, fields) if isinstance(fields, dict) else (None, [])
    return form_of_exposure(name, exposure) if exposure is not None else None
