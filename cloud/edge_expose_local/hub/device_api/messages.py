"""What the hub does with messages of devices and modules: twins, methods, telemetry, inputs. Topics in, topics out."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from edge_expose_local.http import json_text
from edge_expose_local.hub.device_api.links import Link, Links
from edge_expose_local.hub.errors import HubError, device_not_online
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.store.state import DesiredChanged, Effect, IdentityClosed
from edge_expose_local.mqtt import codec

JsonObject = dict[str, Any]
TWIN_REPLIES = "$iothub/twin/res/#"
DESIRED_PATCHES = "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"
_TWIN_GET = "$iothub/twin/GET/"
_TWIN_PATCH = "$iothub/twin/PATCH/properties/reported/"
_METHOD_RESULT = "$iothub/methods/res/"
MAX_MESSAGE = 256 * 1024
TELEMETRY_KEPT = 1000
log = logging.getLogger("edge_expose_local.hub.devices")


def own_topic(key: TwinKey) -> str:
    return f"devices/{key.device}/" + (f"modules/{key.module}/" if key.module is not None else "")


def allowed_filter(key: TwinKey, topic_filter: str) -> bool:
    own = own_topic(key)
    extra = f"{own}inputs/#" if key.module is not None else f"{own}messages/devicebound/#"
    return topic_filter in (TWIN_REPLIES, DESIRED_PATCHES, METHODS, extra)


def _request_id(query: str) -> str:
    return dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)).get("$rid", "")


class DeviceApi:
    """`received` is called for every PUBLISH of a link; False means that the link must be closed."""

    def __init__(self, hub: Hub, links: Links) -> None:
        self._hub = hub
        self._links = links
        self._methods: dict[str, tuple[TwinKey, asyncio.Future[tuple[int, Any]]]] = {}
        self._method_count = 0
        self._held: dict[TwinKey, list[tuple[str, bytes]]] = {}
        self._later: set[asyncio.Task[None]] = set()
        self.telemetry: deque[JsonObject] = deque(maxlen=TELEMETRY_KEPT)
        hub.deliver = self.deliver

    # -- from the device -------------------------------------------------------------------------------------------

    def received(self, link: Link, topic: str, payload: bytes) -> bool:
        if len(payload) > MAX_MESSAGE or link.key not in self._hub.state.twins:
            return False
        if topic.startswith(_TWIN_GET):
            return self._twin_request(link, _request_id(topic[len(_TWIN_GET) :]), "TwinRead", self._get)
        if topic.startswith(_TWIN_PATCH):
            rid = _request_id(topic[len(_TWIN_PATCH) :])
            return self._twin_request(link, rid, "TwinUpdate", lambda key: self._report(key, payload))
        if topic.startswith(_METHOD_RESULT):
            return self._method_result(link, topic[len(_METHOD_RESULT) :], payload)
        prefix = own_topic(link.key) + "messages/events/"
        if topic.startswith(prefix):
            self._record(link.key, topic[len(prefix) :], payload)
            return True
        log.warning("%s published on a topic that is not its own; closing", link.key)
        return False

    def _twin_request(
        self, link: Link, rid: str, operation: str, work: Callable[[TwinKey], tuple[int, str, bytes]]
    ) -> bool:
        """Runs one twin request and replies, with the faults that are set for this identity."""
        key, faults = link.key, self._hub.faults
        if not rid:
            return False
        facts = {"device": key.device, "module": key.module or ""}
        if not self._hub.throttle.allow(operation, self._hub.state.clock()):
            status, suffix, body = 429, "", b""
        elif fault := faults.take("twin-status", **facts):
            status, suffix, body = int(fault.number("status", 429)), "", b""
        else:
            status, suffix, body = work(key)
            self._hub.commit()  # a reported patch is on disk before it is acknowledged
        if fault := faults.take("withhold-twin-reply", **facts):
            return not fault.options.get("drop")
        topic = f"$iothub/twin/res/{status}/?$rid={rid}{suffix}"
        if fault := faults.take("twin-delay", **facts):
            self._after(fault.number("seconds", 60), lambda: self._reply(key, topic, body))
        else:
            self._reply(key, topic, body)
        return True

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            action()

        task = asyncio.get_running_loop().create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _reply(self, key: TwinKey, topic: str, body: bytes) -> None:
        link = self._links.live.get(key)
        if link is None:
            return
        if self._hub.state.settings.strict_replies and TWIN_REPLIES not in link.subscriptions:
            log.warning("%s asked for its twin without a subscription to %s; the reply is lost", key, TWIN_REPLIES)
            return
        link.send(codec.Publish(topic, body))

    def _get(self, key: TwinKey) -> tuple[int, str, bytes]:
        view = twin_service.module_view(self._hub.state, key)
        facts = {"device": key.device, "module": key.module or ""}
        if self._hub.faults.take("empty-twin", **facts):
            view = {"desired": {}, "reported": {}}
        if self._hub.faults.take("no-version", **facts):
            view = {name: {k: v for k, v in section.items() if k != "$version"} for name, section in view.items()}
        return 200, "", json.dumps(view).encode()

    def _report(self, key: TwinKey, payload: bytes) -> tuple[int, str, bytes]:
        try:
            patch = json_text.loads(payload)
        except ValueError:
            return 400, "", json.dumps({"message": "the reported patch is no JSON"}).encode()
        result = twin_service.report(self._hub.state, key, patch)
        if isinstance(result, str):
            return 400, "", json.dumps({"errorCode": 400004, "message": result}).encode()
        return 204, f"&$version={result}", b""

    def _record(self, key: TwinKey, properties: str, payload: bytes) -> None:
        values = dict(parse_qsl(properties, keep_blank_values=True))
        self.telemetry.append(
            {
                "device": key.device,
                "module": key.module,
                "output": values.pop("$.on", None),
                "properties": values,
                "payload": payload.decode(errors="replace"),
                "time": self._hub.state.now(),
            }
        )

    # -- to the device ---------------------------------------------------------------------------------------------

    def deliver(self, effect: Effect) -> None:
        match effect:
            case DesiredChanged():
                self._send_patch(effect)
            case IdentityClosed():
                if effect.forget:
                    self._links.forget(effect.key)
                if (link := self._links.live.get(effect.key)) is not None:
                    link.close()

    def _send_patch(self, change: DesiredChanged) -> None:
        key, faults = change.key, self._hub.faults
        link = self._links.subscribed(key, DESIRED_PATCHES)
        if link is None or key.device in self._hub.state.offline:
            return  # nothing is queued: who was away reads its twin
        facts = {"device": key.device, "module": key.module or ""}
        if faults.take("lose-patches", **facts):
            return
        patch = change.patch
        if faults.take("full-document", **facts):
            patch = self._hub.state.twins[key].desired.value
        if not faults.take("no-version", **facts):
            patch = {**patch, "$version": change.version}
        message = (f"$iothub/twin/PATCH/properties/desired/?$version={change.version}", json.dumps(patch).encode())
        if faults.take("reorder-patches", **facts):
            self._held.setdefault(key, []).append(message)
            return
        times = 2 if faults.take("duplicate-patches", **facts) else 1
        for topic, payload in [message] * times + self._held.pop(key, []):
            link.send(codec.Publish(topic, payload))

    def send_input(self, key: TwinKey, name: str, payload: bytes, properties: dict[str, str]) -> bool:
        """A routed message to an input of a module, QoS 1; False when the module's queue is full."""
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in properties.items())
        return self._links.send_once_acknowledged(
            key, f"{own_topic(key)}inputs/{quote(name, safe='')}/{query}", payload
        )

    async def invoke(
        self, key: TwinKey, name: str, payload: bytes, timeout: int, connect_timeout: int
    ) -> tuple[int, Any]:
        """A direct method: (status, payload) of the answer. Raises HubError 404 (not online) or 504 (no answer)."""
        started = time.monotonic()
        while (link := self._links.subscribed(key, METHODS)) is None or key.device in self._hub.state.offline:
            if time.monotonic() - started >= connect_timeout:
                raise device_not_online(str(key))
            await asyncio.sleep(0.05)
        self._method_count += 1
        rid = f"{self._method_count:x}"
        future: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        self._methods[rid] = (key, future)
        link.send(codec.Publish(f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={rid}", payload))
        try:
            async with asyncio.timeout(timeout - (time.monotonic() - started)):
                return await future
        except TimeoutError as error:
            text = f"Timed out waiting for the response of {key}"
            raise HubError(504, "GatewayTimeout", text, 504101, "nested") from error
        finally:
            del self._methods[rid]

    def _method_result(self, link: Link, rest: str, payload: bytes) -> bool:
        status, _, query = rest.partition("/")
        waiting = self._methods.get(_request_id(query))
        if waiting is None or waiting[0] != link.key:
            return True  # too late, or not the one who was asked: nobody waits for it
        if not status.lstrip("-").isdigit():
            return False
        try:
            answer = json_text.loads(payload) if payload.strip() else None
        except ValueError:
            answer = payload.decode(errors="replace")
        if not waiting[1].done():
            waiting[1].set_result((int(status), answer))
        return True


def decode_filter(text: str) -> str:
    """Subscriptions may arrive with the dollar sign of a module id percent-encoded."""
    return unquote(text) if "%" in text else text
