"""Routes: sign in (password, or a one-time link), sign out."""

from __future__ import annotations

import math
import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.portal.auth.accounts import Account, AccountError
from edge_expose_cloud.portal.auth.browsers import browser_cookie, known_browser
from edge_expose_cloud.portal.auth.passwords import RETRY_SECONDS
from edge_expose_cloud.portal.http.addresses import throttle_key
from edge_expose_cloud.portal.pages.resume import Typed, resume, typed_of
from edge_expose_cloud.portal.shell import (
    CheckedDep,
    FieldsDep,
    Portal,
    PortalDep,
    clear_cookie,
    client_of,
    page,
    set_browser_cookie,
    set_cookie,
)

router = APIRouter(include_in_schema=False)


@router.get("/sign-in", response_class=HTMLResponse)
def sign_in_page(portal: PortalDep, request: Request, next: str = "") -> Response:
    """Whoever is signed in already is not asked again."""
    if portal.session(request.cookies.get(portal.cookie, "")) is not None:
        return RedirectResponse(_inside(next), 303)
    return page(portal, None, "sign_in.html", error="", name="", next=_inside(next), typed="")


@router.post("/sign-in")
async def sign_in(portal: PortalDep, fields: FieldsDep, request: Request) -> Response:
    """The same answer for a wrong name and a wrong password; after some tries it waits."""
    name, password = fields.get("name", "")[:64], fields.get("password", "")
    target, client = _inside(fields.get("next", "")), client_of(request)
    typed = typed_of(fields.get("typed", ""))
    tries = _Tries(portal, name, client, request.cookies.get(portal.browser_cookie, ""))

    def again(status: int, text: str, seconds: float = 0) -> Response:
        told = typed.to_text() if typed is not None else ""
        answer = page(portal, None, "sign_in.html", status=status, error=text, name=name, next=target, typed=told)
        if seconds:
            answer.headers["Retry-After"] = str(math.ceil(seconds))
        return answer

    wait = tries.wait()
    if wait > 0:
        if tries.first_held_back():
            await run_in_threadpool(portal.audit.write_refusal, name, "sign-in-held-back", client=client)
        return again(429, f"Too many failed attempts. Wait {math.ceil(wait)} seconds, then try again.", wait)
    if portal.passwords.is_full(tries.known):
        text = "Too many sign-ins at the moment. Try again in a few seconds."
        return again(503, text, RETRY_SECONDS)
    # Counted before the slow check, so that tries sent at once are held back as well.
    tries.failed()
    account = await portal.passwords.run(lambda: _verified(portal, name, password), known=tries.known)
    if account is None:
        await run_in_threadpool(portal.audit.write_refusal, name, "sign-in-refused", client=client)
        return again(403, "The name or the password is wrong.")
    tries.succeeded()
    if typed is not None and account.role == "operator":
        target = _shown_again(portal, typed, target)
    answer = await run_in_threadpool(enter, portal, request, account, target)
    set_browser_cookie(portal, answer, browser_cookie(account, time.time()))
    return answer


def _shown_again(portal: Portal, typed: Typed, target: str) -> str:
    """Where somebody goes on with what was typed before the session ended; `target` where it makes no sense."""
    try:
        return resume(portal, typed)
    except Refused:
        return target


def _verified(portal: Portal, name: str, password: str) -> Account | None:
    try:
        return portal.accounts.verify(name, password)
    except AccountError:
        return None


class _Tries:
    """The throttles of one try: the browser's own where it signed in to that account before, else name and address."""

    def __init__(self, portal: Portal, name: str, client: str, cookie: str) -> None:
        try:
            account = portal.accounts.all().get(name)
        except AccountError:
            account = None
        browser = known_browser(cookie, account, time.time())
        self.known = browser != ""
        self._throttles = (
            [(portal.browser_throttle, browser)]
            if browser
            else [(portal.name_throttle, name.lower()), (portal.address_throttle, throttle_key(client))]
        )

    def wait(self) -> float:
        return max(throttle.wait_for(key) for throttle, key in self._throttles)

    def first_held_back(self) -> bool:
        """Each throttle is asked, so that each wait is told once."""
        return sum(throttle.first_held_back(key) for throttle, key in self._throttles) > 0

    def failed(self) -> None:
        for throttle, key in self._throttles:
            throttle.failed(key)

    def succeeded(self) -> None:
        for throttle, key in self._throttles:
            throttle.succeeded(key)


@router.get("/link/{token}", response_class=HTMLResponse)
def link_page(portal: PortalDep, token: str) -> Response:
    """Only shows a button: a preview that fetches the address must not use it up."""
    return page(portal, None, "link.html", token=token, error="")


@router.post("/link")
def use_link(portal: PortalDep, fields: FieldsDep, request: Request) -> Response:
    found = portal.sessions.use_link(fields.get("token", ""))
    if found is None:
        text = "This link has already been used or is older than 15 minutes."
        return page(portal, None, "link.html", status=403, token="", error=text)
    return enter(portal, request, Account(*found, hash=""), "/")


@router.post("/sign-out")
def sign_out(portal: PortalDep, fields: CheckedDep, request: Request) -> Response:
    portal.sessions.end(request.cookies.get(portal.cookie, ""))
    answer = RedirectResponse("/sign-in", 303)
    clear_cookie(portal, answer)
    return answer


def enter(portal: Portal, request: Request, account: Account, target: str, action: str = "sign-in") -> Response:
    """Starts a session in place of the one there was."""
    old, client = request.cookies.get(portal.cookie, ""), client_of(request)
    cookie = portal.sessions.start(
        account.name,
        account.role,
        hash=account.hash,
        old=old,
        client=client,
        browser=request.headers.get("user-agent", ""),
    )
    portal.audit.write(account.name, action, role=account.role, client=client)
    answer = RedirectResponse(target, 303)
    set_cookie(portal, answer, cookie)
    return answer


def _inside(target: str) -> str:
    """Only a path of this portal."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if plain and "\\" not in target else "/"
