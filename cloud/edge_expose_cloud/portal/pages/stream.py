"""Routes: the stream of events that open pages follow."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from edge_expose_cloud.portal.live.poller import FLEET_TOPIC, device_topic
from edge_expose_cloud.portal.shell import Portal, PortalDep, SessionDep

router = APIRouter(include_in_schema=False)
BEAT_SECONDS: Final = 15.0
MOST_STREAMS: Final = 200
MOST_OF_SESSION: Final = 8
MOST_OF_USER: Final = 32


@router.get("/events")
async def events(portal: PortalDep, session: SessionDep, request: Request, device: str = "") -> StreamingResponse:
    """Events of one device, or of the fleet; ends with the session."""
    topic = device_topic(device) if device else FLEET_TOPIC
    cookie = request.cookies.get(portal.cookie, "")
    return StreamingResponse(_stream(portal, topic, cookie), media_type="text/event-stream")


async def _stream(portal: Portal, topic: str, cookie: str) -> AsyncIterator[str]:
    session = portal.session(cookie)
    if session is None:
        return
    user, mine = f"user {session.user}", f"session {session.id}"
    count = portal.events.count
    # A stream is held open for hours: neither one session nor one user may take them all.
    if count() >= MOST_STREAMS or count(user) >= MOST_OF_USER or count(mine) >= MOST_OF_SESSION:
        yield "retry: 30000\n\n"
        return
    with portal.events.listen(topic, user, mine) as queue:
        yield f"retry: 2000\n\n{_message(portal, 'changed')}"
        while portal.session(cookie) is not None:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    event = await queue.get()
            except TimeoutError:
                yield ": beat\n\n"
                continue
            if event is None:
                return
            yield _message(portal, event.kind)


def _message(portal: Portal, kind: str) -> str:
    """`at` is now; `problem` is for the banner, which stands outside of what an open page fetches again."""
    return f"event: {kind}\ndata: {json.dumps({'at': time.time(), 'problem': portal.poller.problem})}\n\n"
