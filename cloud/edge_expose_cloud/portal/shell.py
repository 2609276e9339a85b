"""What the routes share: the portal's parts, who is asking, and how an answer page is made."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from edge_expose_cloud.adapters.files import read_backups, write_backup
from edge_expose_cloud.adapters.sealing import OPEN, KeyFileError, Seal
from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.plan.backups import Backup
from edge_expose_cloud.portal.audit.log import Audit
from edge_expose_cloud.portal.auth.accounts import AccountError, Accounts, Role
from edge_expose_cloud.portal.auth.browsers import KNOWN_SECONDS
from edge_expose_cloud.portal.auth.passwords import PasswordQueue
from edge_expose_cloud.portal.auth.sessions import LoginThrottle, Session, Sessions
from edge_expose_cloud.portal.auth.tokens import Tokens
from edge_expose_cloud.portal.forms.changes import PlanRequest
from edge_expose_cloud.portal.forms.drafts import Draft
from edge_expose_cloud.portal.http.addresses import plain_address
from edge_expose_cloud.portal.http.guards import read_fields
from edge_expose_cloud.portal.live.events import Events
from edge_expose_cloud.portal.live.poller import Poller
from edge_expose_cloud.portal.live.reading_hub import LastKnown, ReadingForChange, ReadingHub
from edge_expose_cloud.portal.live.recent import Recent
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.probe import Tested


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are kept; `secure` cookies are for TLS and for every address that is not loopback."""

    backups: Path
    audit: Path
    users: Path
    secure: bool = False
    seal: Seal = OPEN
    audit_copy: Callable[[str], None] | None = None
    queries_per_minute: float = 10.0


@dataclass(frozen=True, slots=True)
class Portal:
    """Everything a route may need."""

    settings: Settings
    hub: Hub
    reading: ReadingHub
    poller: Poller
    events: Events
    accounts: Accounts
    tokens: Tokens
    sessions: Sessions
    address_throttle: LoginThrottle
    name_throttle: LoginThrottle
    browser_throttle: LoginThrottle
    passwords: PasswordQueue
    audit: Audit
    templates: Environment
    plans: Recent[PlanRequest] = field(default_factory=Recent)
    drafts: Recent[Draft] = field(default_factory=Recent)
    tests: Recent[Tested] = field(default_factory=Recent)

    @property
    def last_known(self) -> LastKnown:
        """For pages that only show."""
        return self.reading.last_known()

    @property
    def for_change(self) -> ReadingForChange:
        """For plans that are applied."""
        return self.reading.for_change()

    @property
    def cookie(self) -> str:
        return "__Host-edge-expose" if self.settings.secure else "edge-expose"

    @property
    def browser_cookie(self) -> str:
        return f"{self.cookie}-browser"

    def session(self, cookie: str, *, used: bool = False) -> Session | None:
        """The session of a cookie with the role its account has now; one whose account is gone or changed has ended."""
        found = self.sessions.find(cookie, used=used)
        if found is None or not found.hash:
            return found
        try:
            account = self.accounts.all().get(found.user)
        except AccountError:
            return None  # nobody is let in by a file that nobody can read; it may be mended
        if account is None or account.hash != found.hash:
            self.sessions.end(cookie)
            return None
        return replace(found, role=account.role)

    def live_sessions(self) -> list[Session]:
        """All sessions that would be let in now, the last used first."""
        try:
            accounts = self.accounts.all()
        except AccountError:
            accounts = {}
        found = []
        for session in self.sessions.live():
            account = accounts.get(session.user)
            if not session.hash:
                found.append(session)
            elif account is not None and account.hash == session.hash:
                found.append(replace(session, role=account.role))
        return found

    def program(self, token: str) -> Session | None:
        """Who a program with that API token acts for: it may do what both token and account allow now."""
        try:
            found = self.tokens.find(token, time.time())
            account = self.accounts.all().get(found.user) if found is not None else None
        except AccountError:
            return None
        if found is None or account is None:
            return None
        role: Role = "operator" if found.scope == account.role == "operator" else "viewer"
        return Session(found.user, role, account.hash, "", 0.0, 0.0, found.id, via=f"token {found.name}")

    def backups(self, device: str) -> list[Backup]:
        try:
            return read_backups(self.settings.backups, device, self.hub.host, self.settings.seal)
        except KeyFileError as error:
            raise Refused(str(error), "start the portal with that key") from error

    def operator(self, session: Session, note: str = "") -> Operator:
        """The session's user as the one who applies."""

        def save(name: str, text: str) -> str:
            path = write_backup(self.settings.backups, name, text, self.settings.seal)
            sys.stderr.write(f"backup: {path}\n")
            return str(path)

        return Operator(f"{session.user}@portal", lambda: dt.datetime.now(dt.UTC), save, note=note)


class NotSignedIn(Exception):
    """Pages go to the sign-in page, the API answers 401."""


class Forbidden(Exception):
    """The role or the token does not allow it; the text says why."""


class ForeignForm(Forbidden):
    """A form that a page of another session posted, such as the one before."""


def portal_of(request: Request) -> Portal:
    portal: Portal = request.app.state.portal
    return portal


PortalDep = Annotated[Portal, Depends(portal_of)]


def signed_in(request: Request, portal: PortalDep) -> Session:
    session = portal.session(request.cookies.get(portal.cookie, ""), used=by_a_person(request))
    if session is None:
        raise NotSignedIn
    return session


def by_a_person(request: Request) -> bool:
    """Open pages fetch fragments and follow events by themselves; that keeps no session alive."""
    by_itself = "x-fragment" in request.headers or request.url.path == "/events"
    return request.method != "GET" or not by_itself


SessionDep = Annotated[Session, Depends(signed_in)]


async def posted(request: Request) -> dict[str, str]:
    """Fields of a form; the guard has bounded its length."""
    try:
        return read_fields(await request.body())
    except (ValueError, UnicodeDecodeError):
        raise Forbidden("the form cannot be read") from None


FieldsDep = Annotated[dict[str, str], Depends(posted)]


def posted_here(session: SessionDep, fields: FieldsDep, request: Request) -> dict[str, str]:
    """Fields of a form that this session's own page posted."""
    if not session.owns(fields.get("csrf") or request.headers.get("x-csrf-token", "")):
        raise ForeignForm("the form belongs to another session: reload the page and try again")
    return fields


CheckedDep = Annotated[dict[str, str], Depends(posted_here)]


def operator_only(session: SessionDep) -> Session:
    if not session.may_change:
        raise Forbidden("your role is viewer; only operators can make changes")
    return session


OperatorDep = Annotated[Session, Depends(operator_only)]


def page(
    portal: Portal,
    session: Session | None,
    template: str,
    *,
    status: int = 200,
    at: float | None = None,
    late: bool = False,
    **values: Any,
) -> HTMLResponse:
    """A template with what every page shows: who, which hub, how old, and what is wrong with the hub.

    `late`: the hub has not answered for this page.
    """
    problem = portal.poller.problem or ("no answer within a second" if late else "")
    text = portal.templates.get_template(template).render(
        session=session,
        host=portal.hub.host,
        problem=problem if session is not None else "",
        now=time.time(),
        at=at,
        **values,
    )
    return HTMLResponse(writable(text), status)


def writable(text: str) -> str:
    """Twins, reports and old audit lines may hold half a surrogate pair, which no page can: shown as `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode()


_COOKIE_PATH: Final = "/"


def set_cookie(portal: Portal, response: Response, cookie: str) -> None:
    """Lax, so that a link in a mail or a chat opens the page; forms carry a token and must come from our own pages."""
    response.set_cookie(
        portal.cookie, cookie, path=_COOKIE_PATH, httponly=True, samesite="lax", secure=portal.settings.secure
    )


def set_browser_cookie(portal: Portal, response: Response, cookie: str) -> None:
    response.set_cookie(
        portal.browser_cookie,
        cookie,
        max_age=KNOWN_SECONDS,
        path=_COOKIE_PATH,
        httponly=True,
        samesite="strict",
        secure=portal.settings.secure,
    )


def clear_cookie(portal: Portal, response: Response) -> None:
    response.delete_cookie(
        portal.cookie, path=_COOKIE_PATH, httponly=True, samesite="lax", secure=portal.settings.secure
    )


def client_of(request: Request) -> str:
    """The client's address; behind a trusted proxy, the one that it names."""
    return plain_address(request.client.host) if request.client is not None else "unknown"
