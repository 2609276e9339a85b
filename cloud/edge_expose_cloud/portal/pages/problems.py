"""The answer when a use case refuses, the hub fails, or nobody is signed in: a page, or JSON of the API."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from edge_expose_cloud.findings.problems import InputError, Missing, Refused
from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.portal.http.guards import read_fields
from edge_expose_cloud.portal.pages.resume import resume, typed_in
from edge_expose_cloud.portal.shell import (
    Forbidden,
    ForeignForm,
    NotSignedIn,
    Portal,
    by_a_person,
    page,
    writable,
)

ENDED = "Your session has ended."


def answer_problems(app: FastAPI, portal: Portal) -> None:
    """Registers the handlers."""

    def problem(request: Request, status: int, message: str, hint: str = "", again: str = "") -> Response:
        """`again` is where what was sent can be looked at, or asked for once more."""
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": writable(message), "hint": writable(hint)}, status)
        session = portal.session(request.cookies.get(portal.cookie, ""))
        return page(
            portal,
            session,
            "problem.html",
            status=status,
            message=message,
            hint=hint,
            code=status,
            again=again,
            device=str(request.path_params.get("device", "")),
        )

    @app.exception_handler(NotSignedIn)
    async def not_signed_in(request: Request, error: NotSignedIn) -> Response:
        if request.url.path.startswith("/api/"):
            hint = "send Authorization: Bearer TOKEN; create one with `edge-expose portal token add`"
            return JSONResponse({"error": "no valid API token", "hint": hint}, 401, {"WWW-Authenticate": "Bearer"})
        if not by_a_person(request):
            return problem(request, 401, ENDED, "Sign in again.")
        if request.method != "GET":
            typed = typed_in(request, await _fields(request))
            text = f"{ENDED} Sign in again" + (": what you typed is kept." if typed is not None else ".")
            told = typed.to_text() if typed is not None else ""
            return await run_in_threadpool(
                page, portal, None, "sign_in.html", status=401, error=text, name="", next="/", typed=told
            )
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}" if target != "/" else "/sign-in", 303)

    @app.exception_handler(ForeignForm)
    async def foreign_form(request: Request, error: ForeignForm) -> Response:
        """A form of the session before this one is shown again, with the token of this one."""
        session = portal.session(request.cookies.get(portal.cookie, ""))
        typed = typed_in(request, await _fields(request))
        again = ""
        if session is not None and session.may_change and typed is not None:
            try:
                again = resume(portal, typed)
            except Refused:
                again = ""
        return problem(request, 403, str(error), again=again)

    @app.exception_handler(Forbidden)
    def forbidden(request: Request, error: Forbidden) -> Response:
        return problem(request, 403, str(error))

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused) -> Response:
        return problem(request, 404 if isinstance(error, Missing) else 409, error.message, error.hint)

    @app.exception_handler(InputError)
    def wrong_input(request: Request, error: InputError) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"violations": [item.to_json() for item in error.findings]}, 422)
        first = error.findings[0] if error.findings else None
        return problem(request, 422, first.message if first else "the input is wrong", first.hint if first else "")

    @app.exception_handler(HubError)
    def hub_problem(request: Request, error: HubError) -> Response:
        again = str(request.url.path) if request.method == "GET" else ""
        return problem(request, 502, f"IoT Hub: {error.message}", error.hint, again)

    @app.exception_handler(HTTPException)
    def http_problem(request: Request, error: HTTPException) -> Response:
        text = "This page does not exist." if error.status_code == 404 else str(error.detail)
        answer = problem(request, error.status_code, text)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def bad_request(request: Request, error: RequestValidationError) -> Response:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return problem(request, 422, "The request cannot be read.", wrong[:300])


async def _fields(request: Request) -> Mapping[str, str]:
    try:
        return read_fields(await request.body())
    except (ValueError, UnicodeDecodeError):
        return {}
