"""The JSON API: small, the same use cases as the pages, for programs that show an API token.

A token is sent by nobody but the program that has it, so there is nothing to forge. A browser's session may read here,
as the pages do, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from edge_expose_cloud.findings.problems import InputError, Missing, Refused
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.portal.api_bodies import (
    Applied,
    DeviceBody,
    Devices,
    ExposureBody,
    Planned,
    Problem,
    SessionBody,
    Violations,
)
from edge_expose_cloud.portal.apply import apply_change, plan_fresh
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.forms.changes import ChangeRequest, plan_change
from edge_expose_cloud.portal.http.guards import is_text
from edge_expose_cloud.portal.live import fleet
from edge_expose_cloud.portal.shell import Forbidden, NotSignedIn, PortalDep, signed_in
from edge_expose_cloud.portal.views.device import device_view

_PROBLEM: Final[dict[str, Any]] = {"description": "What is wrong, and what to try.", "model": Problem}
_WRONG: Final[dict[str, Any]] = {"description": "What is wrong with the request.", "model": Problem | Violations}


def _body(model: Any, description: str) -> dict[int | str, dict[str, Any]]:
    """For the document; what is answered is not validated here: a device may have reported anything."""
    return {200: {"model": model, "description": description}}


TITLE, VERSION = "edge-expose portal", "1.0"
router = APIRouter(
    prefix="/api",
    responses={**dict.fromkeys((401, 403, 404, 409, 413, 421, 502), _PROBLEM), 422: _WRONG},
)
DeviceId = Annotated[str, Path(pattern=r"^[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}$")]
Name = Annotated[str, Path(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]


def document() -> dict[str, Any]:
    """The OpenAPI document; the reference holds the same."""
    app = FastAPI(title=TITLE, version=VERSION)
    app.include_router(router)
    return app.openapi()


_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="An API token of the portal: `eex_` and 43 characters."
)
TokenDep = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def _reader(request: Request, portal: PortalDep, token: TokenDep) -> Session:
    """Whoever shows a token is nobody else, whatever cookies come along."""
    if "authorization" not in request.headers:
        return signed_in(request, portal)
    found = portal.program(token.credentials) if token is not None else None
    if found is None:
        raise NotSignedIn
    return found


ReaderDep = Annotated[Session, Depends(_reader)]


def _operator(session: ReaderDep) -> Session:
    if not session.via:
        raise Forbidden("a browser session cannot make changes here: send an API token")
    if not session.may_change:
        raise Forbidden("this token is read-only: its scope, or the role of its account, is viewer")
    return session


ApiOperator = Annotated[Session, Depends(_operator)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, body: Any) -> Any:
        if isinstance(body, dict) and not is_text(body):
            raise PydanticCustomError("text", "contains half of a surrogate pair, which is not text")
        return body


class Wanted(Strict):
    """One exposure of the contract, as in the twin."""

    exposure: dict[str, Any] = Field(description="The fields of docs/reference/contract.md.")
    digest: str | None = Field(None, description="Digest of the plan to apply: any other plan is refused with 409.")
    allow: dict[str, int] = Field({}, description="Dangers of the plan that are confirmed: kind and count.")
    note: str = Field("", description="Note that goes with the change, at most 512 bytes.")


class Checked(Strict):
    device: str = Field(pattern=r"^[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}$")
    name: str = Field(max_length=128)
    exposure: dict[str, Any]


@router.get("/session", summary="Get the user and role of the caller", responses=_body(SessionBody, "Who calls."))
def session_of(session: ReaderDep) -> dict[str, Any]:
    """User and role; for a browser session also the token of its forms."""
    return {"user": session.user, "role": session.role, "csrfToken": session.csrf}


@router.get("/openapi.json", include_in_schema=False)
def openapi(session: ReaderDep, request: Request) -> dict[str, Any]:
    found: dict[str, Any] = request.app.openapi()
    return found


@router.get("/devices", summary="List devices", responses=_body(Devices, "One page of devices."))
def devices(
    portal: PortalDep,
    session: ReaderDep,
    q: str = "",
    show: Annotated[str, Query(pattern=f"^({'|'.join(fleet.SHOWN)})$")] = "",
    tag: str = "",
    sort: Annotated[str, Query(pattern=f"^(-?({'|'.join(fleet.ORDERS)}))?$")] = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> dict[str, Any]:
    """One page of 50 devices; `readAt` is when each was read (Unix seconds)."""
    found = fleet.answer(portal.poller.listing(), fleet.Question(q, show, tag, page, sort))
    portal.poller.show(row.device_id for row in found.rows)
    return {
        "devices": [
            {
                "deviceId": row.device_id,
                **row.health.to_json(),
                "openToEveryone": row.open,
                "connectionState": row.connection,
                "summary": dict(row.counts),
                "addresses": {"used": row.used, "available": row.available},
                "tags": dict(row.tags),
                "readAt": row.at,
            }
            for row in found.rows
        ],
        "found": found.found,
        "page": found.page,
        "pages": found.pages,
    }


@router.get("/devices/{device}", summary="Get a device", responses=_body(DeviceBody, "The device."))
def device(portal: PortalDep, session: ReaderDep, device: DeviceId) -> dict[str, Any]:
    """Status, declared ranges, the map of addresses and the modules of one device."""
    view = device_view(portal.reading, device)
    return {
        "deviceId": view.device_id,
        "connectionState": view.connection,
        "tags": view.tags,
        "site": view.site,
        "status": view.status.to_json() if view.status is not None else None,
        "addresses": [
            {"address": cell.address, "kind": cell.kind, "exposures": list(cell.exposures), "owner": cell.owner}
            for cell in view.map.cells
        ],
        "modules": [{"name": item.name, "image": item.image, "status": item.status} for item in view.modules],
        "owners": view.owners,
    }


@router.get(
    "/devices/{device}/exposures/{name}", summary="Get an exposure", responses=_body(ExposureBody, "The exposure.")
)
def exposure(portal: PortalDep, session: ReaderDep, device: DeviceId, name: Name) -> dict[str, Any]:
    """One exposure: declared, reported, and the deployment that sets it."""
    view = device_view(portal.reading, device)
    reported = view.status.exposures.get(name) if view.status is not None else None
    if reported is None and name not in view.declared_raw:
        raise Missing(f"device {device} has no exposure {name!r}", "GET /api/devices/{device} lists them")
    return {
        "name": name,
        "declared": view.declared_raw.get(name),
        "reported": reported,
        "owner": view.owners.get(name),
    }


@router.put(
    "/devices/{device}/exposures/{name}",
    summary="Declare an exposure",
    responses=_body(Planned | Applied, "The plan of a dry run, or the result."),
)
def put_exposure(
    portal: PortalDep,
    session: ApiOperator,
    device: DeviceId,
    name: Name,
    body: Wanted,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
    digest: str | None = None,
) -> dict[str, Any]:
    """Declares the exposure, with the plan and checks of `edge-expose expose`; query or body hold the digest."""
    if digest is not None and body.digest is not None and digest != body.digest:
        raise Refused(
            "the query and the body give two different digests", "give one of them, as ?dryRun=true showed it"
        )
    expected = body.digest if digest is None else digest
    return _change(
        portal, session, ChangeRequest("expose", device, name, body.exposure), expected, dry_run, body.allow, body.note
    )


@router.delete(
    "/devices/{device}/exposures/{name}",
    summary="Remove an exposure",
    responses=_body(Planned | Applied, "The plan of a dry run, or the result."),
)
def delete_exposure(
    portal: PortalDep,
    session: ApiOperator,
    device: DeviceId,
    name: Name,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
    digest: str | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Removes the exposure."""
    return _change(portal, session, ChangeRequest("remove", device, name), digest, dry_run, {}, note)


@router.post(
    "/validate",
    summary="Validate an exposure",
    responses=_body(Violations, "What is wrong; nothing where the list is empty."),
)
def validate(portal: PortalDep, session: ApiOperator, body: Checked) -> dict[str, Any]:
    """Checks an exposure against the current state of the device; nothing is sent."""
    try:
        planned = plan_change(
            portal.reading, ChangeRequest("expose", body.device, body.name, body.exposure), portal.backups
        )
    except InputError as error:
        return {"violations": [item.to_json() for item in error.findings]}
    return {"violations": [item.to_json() for item in planned.findings]}


def _change(
    portal: PortalDep,
    session: Session,
    change: ChangeRequest,
    digest: str | None,
    dry_run: bool,
    allowed: Mapping[str, int],
    note: str = "",
) -> dict[str, Any]:
    if dry_run:
        planned = plan_fresh(portal, change)
        return {**planned.to_json(), **_beside(planned), "applied": False}
    done = apply_change(portal, session, change, digest, allowed, note)
    return {"result": done, "applied": True}


def _beside(planned: Plan) -> dict[str, Any]:
    return {
        "violations": [item.to_json() for item in planned.findings],
        "breaks": [item.text for item in planned.impact],
    }
