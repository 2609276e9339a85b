"""Routes: sign in (password, or a one-time link), sign out."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from edge_expose_cloud.portal.auth.accounts import Account, AccountError
from edge_expose_cloud.portal.shell import CheckedDep, FieldsDep, Portal, PortalDep, clear_cookie, page, set_cookie

router = APIRouter(include_in_schema=False)


@router.get("/sign-in", response_class=HTMLResponse)
def sign_in_page(portal: PortalDep, next: str = "") -> Response:
    return page(portal, None, "sign_in.html", error="", name="", next=_inside(next))


@router.post("/sign-in")
def sign_in(portal: PortalDep, fields: FieldsDep, request: Request) -> Response:
    """The same answer for a wrong name and a wrong password; after five tries it waits."""
    name, password = fields.get("name", "")[:64], fields.get("password", "")
    target = _inside(fields.get("next", ""))
    who, client = name.lower(), _client(request)
    wait = max(portal.name_brake.wait_for(who), portal.address_brake.wait_for(client))
    if wait > 0:
        first = [portal.name_brake.first_held_back(who), portal.address_brake.first_held_back(client)]
        if any(first):
            portal.audit.write(name, "sign-in-held-back", client=client)
        text = f"Too many wrong tries. Wait {math.ceil(wait)} seconds and try again."
        answer = page(portal, None, "sign_in.html", status=429, error=text, name=name, next=target)
        answer.headers["Retry-After"] = str(math.ceil(wait))
        return answer
    # Counted before the slow check, so that tries sent at once are held back as well.
    portal.name_brake.failed(who)
    portal.address_brake.failed(client)
    try:
        account = portal.accounts.verify(name, password)
    except AccountError:
        account = None
    if account is None:
        portal.audit.write(name, "sign-in-refused", client=client)
        text = "Name or password is wrong."
        return page(portal, None, "sign_in.html", status=403, error=text, name=name, next=target)
    portal.name_brake.succeeded(who)
    portal.address_brake.succeeded(client)
    return _enter(portal, request, account, target)


@router.get("/link/{token}", response_class=HTMLResponse)
def link_page(portal: PortalDep, token: str) -> Response:
    """Only shows a button: a preview that fetches the address must not use it up."""
    return page(portal, None, "link.html", token=token, error="")


@router.post("/link")
def use_link(portal: PortalDep, fields: FieldsDep, request: Request) -> Response:
    found = portal.sessions.use_link(fields.get("token", ""))
    if found is None:
        text = "This link was used already, or is older than 15 minutes."
        return page(portal, None, "link.html", status=403, token="", error=text)
    return _enter(portal, request, Account(*found, hash=""), "/")


@router.post("/sign-out")
def sign_out(portal: PortalDep, fields: CheckedDep, request: Request) -> Response:
    portal.sessions.end(request.cookies.get(portal.cookie, ""))
    answer = RedirectResponse("/sign-in", 303)
    clear_cookie(portal, answer)
    return answer


def _enter(portal: Portal, request: Request, account: Account, target: str) -> Response:
    old = request.cookies.get(portal.cookie, "")
    cookie = portal.sessions.start(account.name, account.role, hash=account.hash, old=old)
    portal.audit.write(account.name, "sign-in", role=account.role, client=_client(request))
    answer = RedirectResponse(target, 303)
    set_cookie(portal, answer, cookie)
    return answer


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _inside(target: str) -> str:
    """Only a path of this portal."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and "\\" not in target else "/"
