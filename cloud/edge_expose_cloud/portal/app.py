"""Puts the portal together: parts, routes, answers to what use cases raise, and the poller's life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from edge_expose_cloud.findings.problems import InputError, Missing, Refused
from edge_expose_cloud.hub.api import Hub, HubError
from edge_expose_cloud.portal import api
from edge_expose_cloud.portal.audit.log import Audit
from edge_expose_cloud.portal.auth.accounts import Accounts
from edge_expose_cloud.portal.auth.passwords import PasswordQueue
from edge_expose_cloud.portal.auth.sessions import FREE_TRIES_OF_A_NAME, LoginBrake, Sessions
from edge_expose_cloud.portal.auth.tokens import Tokens, tokens_beside
from edge_expose_cloud.portal.http.addresses import Network
from edge_expose_cloud.portal.http.bodies import BodyLimits
from edge_expose_cloud.portal.http.guards import Guard, Hosts
from edge_expose_cloud.portal.live.cached_hub import ReadingHub
from edge_expose_cloud.portal.live.events import Events
from edge_expose_cloud.portal.live.poller import Watching
from edge_expose_cloud.portal.pages import account, sign_in, stream
from edge_expose_cloud.portal.pages import change as change_pages
from edge_expose_cloud.portal.pages import device as device_pages
from edge_expose_cloud.portal.pages.templates import STATIC, environment
from edge_expose_cloud.portal.shell import Forbidden, NotSignedIn, Portal, Settings, by_a_person, page, writable


def make_portal(hub: Hub, settings: Settings) -> Portal:
    reading, events = ReadingHub(hub), Events()
    return Portal(
        settings=settings,
        hub=hub,
        reading=reading,
        watching=Watching(hub, reading, events, settings.queries_per_minute),
        events=events,
        accounts=Accounts(settings.users),
        tokens=Tokens(tokens_beside(settings.users)),
        sessions=Sessions(time.monotonic),
        address_brake=LoginBrake(time.monotonic),
        name_brake=LoginBrake(time.monotonic, FREE_TRIES_OF_A_NAME),
        browser_brake=LoginBrake(time.monotonic),
        passwords=PasswordQueue(),
        audit=Audit(settings.audit, copy=settings.audit_copy),
        templates=environment(),
    )


def make_app(
    portal: Portal,
    hosts: Hosts,
    *,
    tls: bool = False,
    proxies: Iterable[Network] = (),
    bodies: BodyLimits = BodyLimits(),  # noqa: B008 (frozen)
) -> FastAPI:
    """The ASGI application; its lifespan runs the poller. Only `proxies` may say for whom they ask."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        poller = asyncio.create_task(portal.watching.run())
        try:
            yield
        finally:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)

    app = FastAPI(title=api.TITLE, version=api.VERSION, openapi_url=None, docs_url=None, redoc_url=None, lifespan=life)
    app.state.portal = portal
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for part in (sign_in, account, stream, device_pages, change_pages, api):
        app.include_router(part.router)
    _answer_problems(app, portal)
    app.add_middleware(GZipMiddleware, minimum_size=800)
    app.add_middleware(Guard, hosts=hosts, tls=tls, bodies=bodies)
    if trusted := [str(network) for network in proxies]:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
    return app


def _answer_problems(app: FastAPI, portal: Portal) -> None:
    def problem(request: Request, status: int, message: str, hint: str = "") -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": writable(message), "hint": writable(hint)}, status)
        session = portal.session(request.cookies.get(portal.cookie, ""))
        return page(portal, session, "problem.html", status=status, message=message, hint=hint, code=status)

    @app.exception_handler(NotSignedIn)
    def not_signed_in(request: Request, error: NotSignedIn) -> Response:
        if request.url.path.startswith("/api/"):
            hint = "send Authorization: Bearer TOKEN; `edge-expose portal token add` makes a token"
            return JSONResponse({"error": "no valid API token", "hint": hint}, 401, {"WWW-Authenticate": "Bearer"})
        if request.method != "GET" or not by_a_person(request):
            return problem(request, 401, "Your session has ended.", "Sign in again.")
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(target, safe='')}" if target != "/" else "/sign-in", 303)

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
        return problem(request, 502, f"IoT Hub: {error.message}", error.hint)

    @app.exception_handler(HTTPException)
    def http_problem(request: Request, error: HTTPException) -> Response:
        text = "There is nothing here." if error.status_code == 404 else str(error.detail)
        answer = problem(request, error.status_code, text)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def bad_request(request: Request, error: RequestValidationError) -> Response:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return problem(request, 422, "The request cannot be read.", wrong[:300])
