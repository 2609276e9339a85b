"""Puts the portal together: parts, routes, and the poller's life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from edge_expose_cloud.adapters.health_port import Health
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.portal import api
from edge_expose_cloud.portal.audit.log import Audit
from edge_expose_cloud.portal.auth.accounts import Accounts
from edge_expose_cloud.portal.auth.passwords import PasswordQueue
from edge_expose_cloud.portal.auth.sessions import FREE_TRIES_OF_A_NAME, LoginThrottle, Sessions
from edge_expose_cloud.portal.auth.tokens import Tokens, tokens_beside
from edge_expose_cloud.portal.http.addresses import Network
from edge_expose_cloud.portal.http.bodies import BodyLimits
from edge_expose_cloud.portal.http.guards import Guard, Hosts
from edge_expose_cloud.portal.live.events import Events
from edge_expose_cloud.portal.live.measures import Requests
from edge_expose_cloud.portal.live.poller import Poller
from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from edge_expose_cloud.portal.pages import account, forms, plan, sign_in, stream
from edge_expose_cloud.portal.pages import device as device_pages
from edge_expose_cloud.portal.pages.problems import answer_problems
from edge_expose_cloud.portal.pages.templates import STATIC, environment
from edge_expose_cloud.portal.shell import Portal, Settings


def make_portal(hub: Hub, settings: Settings, clock: Callable[[], float] = time.monotonic) -> Portal:
    """`clock` tells how old what was read of the hub is."""
    reading, events = ReadingHub.of(hub, clock), Events()
    return Portal(
        settings=settings,
        hub=hub,
        reading=reading,
        poller=Poller(hub, reading, events, settings.queries_per_minute),
        events=events,
        accounts=Accounts(settings.users),
        tokens=Tokens(tokens_beside(settings.users)),
        sessions=Sessions(time.monotonic),
        address_throttle=LoginThrottle(time.monotonic),
        name_throttle=LoginThrottle(time.monotonic, FREE_TRIES_OF_A_NAME),
        browser_throttle=LoginThrottle(time.monotonic),
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
    health: Health | None = None,
) -> FastAPI:
    """The ASGI application; its lifespan runs the poller. Only `proxies` may say for whom they ask. `health` is told in
    which loop all of it runs, and of each answer."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        if health is not None:
            health.watch(asyncio.get_running_loop())
        poller = asyncio.create_task(portal.poller.run())
        try:
            yield
        finally:
            poller.cancel()
            await asyncio.gather(poller, return_exceptions=True)

    app = FastAPI(title=api.TITLE, version=api.VERSION, openapi_url=None, docs_url=None, redoc_url=None, lifespan=life)
    app.state.portal = portal
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for part in (sign_in, account, stream, device_pages, forms, plan, api):
        app.include_router(part.router)
    answer_problems(app, portal)
    app.add_middleware(GZipMiddleware, minimum_size=800)
    app.add_middleware(Guard, hosts=hosts, tls=tls, bodies=bodies)
    if trusted := [str(network) for network in proxies]:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
    if health is not None:
        app.add_middleware(Requests, answered=health.answered)
    return app
