"""Routes: what people keep in order for themselves: their password, where they are signed in, their API tokens."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from edge_expose_cloud.adapters.files import LocalFileError
from edge_expose_cloud.portal.auth.accounts import LONGEST, SHORTEST, Account, AccountError
from edge_expose_cloud.portal.auth.browsers import browser_cookie
from edge_expose_cloud.portal.auth.passwords import Busy
from edge_expose_cloud.portal.auth.sessions import Session
from edge_expose_cloud.portal.auth.tokens import DEFAULT_DAYS, MOST_DAYS, ApiToken
from edge_expose_cloud.portal.pages.sign_in import enter
from edge_expose_cloud.portal.shell import (
    CheckedDep,
    Forbidden,
    Portal,
    PortalDep,
    SessionDep,
    clear_cookie,
    client_of,
    page,
    set_browser_cookie,
)

router = APIRouter(include_in_schema=False)
_DONE: Final = {
    "password": "Your password was changed. You are signed out everywhere else.",
    "ended": "The session has ended.",
    "others": "All your other sessions have ended.",
    "revoked": "The token was revoked.",
}
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "CrOS", "Linux")
_DAYS: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session as the page shows it; times are Unix seconds."""

    id: str
    user: str
    role: str
    link: bool
    here: bool
    mine: bool
    started: float
    seen: float
    client: str
    browser: str


class NotNow(Exception):
    """What was asked for is not done; the text says why."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@router.get("/account", response_class=HTMLResponse)
def account_page(portal: PortalDep, session: SessionDep, done: str = "") -> Response:
    return _page(portal, session, done=_DONE.get(done, ""))


@router.post("/account/password")
async def change_password(portal: PortalDep, session: SessionDep, fields: CheckedDep, request: Request) -> Response:
    """Ends every other session of the account, as the old password may be why it is changed."""
    new = fields.get("new", "")
    try:
        if new != fields.get("again", ""):
            raise NotNow("The new passwords do not match.", 422)
        if not SHORTEST <= len(new) <= LONGEST:
            raise NotNow(f"A password has {SHORTEST} to {LONGEST} characters.", 422)
        account = await _confirmed(portal, session, fields.get("current", ""), client_of(request))
        changed = await portal.passwords.run(lambda: portal.accounts.change_password(account, new), known=True)
    except (NotNow, AccountError, LocalFileError, Busy) as error:
        return await run_in_threadpool(_refused, portal, session, "password", error)
    for other in portal.sessions.live():
        if other.hash == account.hash and other.user == account.name:
            portal.sessions.end_by_id(other.id)
    answer = await run_in_threadpool(enter, portal, request, changed, "/account?done=password", "password-changed")
    set_browser_cookie(portal, answer, browser_cookie(changed, time.time()))
    return answer


@router.post("/account/sessions/end")
def end_session(portal: PortalDep, session: SessionDep, fields: CheckedDep, request: Request) -> Response:
    """One's own; an operator ends those of others too, so that nobody else must restart the portal for that."""
    rows = {row.id: row for row in _sessions(portal, session)}
    wanted = fields.get("session", "")
    if wanted == "others":
        for row in rows.values():
            if row.mine and not row.here:
                portal.sessions.end_by_id(row.id)
        portal.audit.write(session.user, "sessions-ended", client=client_of(request))
        return RedirectResponse("/account?done=others", 303)
    chosen = rows.get(wanted)
    if chosen is None:
        return _page(portal, session, 404, wrong={"sessions": "That session has already ended."})
    portal.sessions.end_by_id(chosen.id)
    portal.audit.write(session.user, "session-ended", client=client_of(request), session=chosen.id, of=chosen.user)
    if chosen.here:
        answer: Response = RedirectResponse("/sign-in", 303)
        clear_cookie(portal, answer)
        return answer
    return RedirectResponse("/account?done=ended", 303)


@router.post("/account/tokens")
async def add_token(portal: PortalDep, session: SessionDep, fields: CheckedDep, request: Request) -> Response:
    """Wants the password: a session that somebody else got hold of must not become a token for a year."""
    scope, days, client = fields.get("scope", ""), fields.get("days", ""), client_of(request)
    try:
        if scope == "operator" and not session.may_change:
            raise NotNow("Your role is viewer, so a token cannot have the scope operator.", 403)
        account = await _confirmed(portal, session, fields.get("password", ""), client)
        number = int(days) if _DAYS.fullmatch(days) else 0
        made, token = await run_in_threadpool(
            portal.tokens.add, account.name, fields.get("token_name", ""), scope, number
        )
    except (NotNow, AccountError, LocalFileError, Busy) as error:
        return await run_in_threadpool(_refused, portal, session, "tokens", error, fields)
    await run_in_threadpool(
        portal.audit.write, session.user, "token-added", client=client, token=made.id, name=made.name, scope=made.scope
    )
    return await run_in_threadpool(_page, portal, session, token=token, made=made)


@router.post("/account/tokens/revoke")
def revoke_token(portal: PortalDep, session: SessionDep, fields: CheckedDep, request: Request) -> Response:
    try:
        if not session.hash:
            raise Forbidden("a session of a one-time link has no tokens")
        made = portal.tokens.revoke(fields.get("token", ""), session.user)
    except (AccountError, LocalFileError) as error:
        return _refused(portal, session, "tokens", error)
    portal.audit.write(session.user, "token-revoked", client=client_of(request), token=made.id, name=made.name)
    return RedirectResponse("/account?done=revoked", 303)


async def _confirmed(portal: Portal, session: Session, password: str, client: str) -> Account:
    """The session's account, when that is its password. Raises NotNow, Busy or AccountError."""
    if not session.hash:
        raise NotNow("You signed in with a one-time link, which has no password.", 403)
    throttle, key = portal.browser_throttle, f"account {session.user}"
    wait = throttle.wait_for(key)
    if wait > 0:
        raise NotNow(f"Too many failed attempts. Wait {math.ceil(wait)} seconds, then try again.", 429)
    if portal.passwords.is_full(known=True):
        raise Busy
    throttle.failed(key)
    account = await portal.passwords.run(lambda: portal.accounts.verify(session.user, password), known=True)
    if account is None or account.hash != session.hash:
        await run_in_threadpool(portal.audit.write_refusal, session.user, "password-refused", client=client)
        raise NotNow("Your current password is wrong.", 403)
    throttle.succeeded(key)
    return account


def _refused(
    portal: Portal, session: Session, where: str, error: Exception, fields: dict[str, str] | None = None
) -> Response:
    match error:
        case NotNow():
            return _page(portal, session, error.status, wrong={where: str(error)}, fields=fields)
        case Busy():
            text = "Too many sign-ins at the moment. Try again in a few seconds."
            return _page(portal, session, 503, wrong={where: text}, fields=fields)
    text = str(error)
    return _page(portal, session, 422, wrong={where: text[:1].upper() + text[1:] + "."}, fields=fields)


def _page(
    portal: Portal,
    session: Session,
    status: int = 200,
    *,
    done: str = "",
    token: str = "",
    made: ApiToken | None = None,
    wrong: dict[str, str] | None = None,
    fields: dict[str, str] | None = None,
) -> Response:
    rows = _sessions(portal, session)
    try:
        tokens = portal.tokens.of_user(session.user) if session.hash else []
    except AccountError as error:
        tokens, wrong = [], {"tokens": str(error), **(wrong or {})}
    values: dict[str, Any] = {
        "done": done,
        "token": token,
        "made": made,
        "wrong": wrong or {},
        "typed": {"token_name": "", "scope": "viewer", "days": str(DEFAULT_DAYS), **(fields or {})},
        "mine": [row for row in rows if row.mine],
        "others": [row for row in rows if not row.mine],
        "tokens": tokens,
        "shortest": SHORTEST,
        "most_days": MOST_DAYS,
    }
    return page(portal, session, "account.html", status=status, **values)


def _sessions(portal: Portal, session: Session) -> list[SessionRow]:
    """One's own, and for an operator everybody's."""
    now = time.time()
    rows = [
        SessionRow(
            id=item.id,
            user=item.user,
            role=item.role,
            link=not item.hash,
            here=item.id == session.id,
            mine=item.user == session.user and bool(item.hash) == bool(session.hash),
            started=now - portal.sessions.age(item.started),
            seen=now - portal.sessions.age(item.seen),
            client=item.client,
            browser=browser_words(item.browser),
        )
        for item in portal.live_sessions()
    ]
    return [row for row in rows if row.mine or session.may_change]


def browser_words(agent: str) -> str:
    """`Firefox on Linux`; what a browser says of itself is a hint to its owner and proves nothing."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for name in _SYSTEMS if name in agent), "").replace("Mac OS X", "macOS")
    if not browser:
        return "a program" if agent else "unknown"
    return f"{browser} on {system}" if system else browser
