"""A module identity's link to the hub over MQTT: the twin, reported patches, and a call when desired properties change.

Signs in with a SAS token that the workload API signs, as edgeAgent does; reconnects by itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import itertools
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from edge_expose_local.mqtt import codec
from edge_expose_local.mqtt.client import MqttClient, MqttError

log = logging.getLogger(__name__)
JsonObject = dict[str, Any]
TOKEN_SECONDS = 3600
_RENEW_SECONDS = 120
_ANSWER_SECONDS = 10.0


class LinkError(Exception):
    """The hub is away or does not answer."""


class HubLink:
    """`environment` holds the IOTEDGE_* variables of the identity; `address` and `port` are where MQTT listens."""

    def __init__(
        self,
        environment: Mapping[str, str],
        address: str,
        port: int,
        ca: str,
        changed: Callable[[], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._environment = environment
        self._address = address
        self._port = port
        self._changed = changed
        self._tls = tls or ssl.create_default_context(cadata=ca)  # thousands of links share one
        self._client: MqttClient | None = None
        self._answers: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._numbers = itertools.count(1)

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.connected

    async def keep(self) -> None:
        """Connects and stays connected until cancelled; calls `changed` after each connect."""
        while True:
            try:
                expiry = await self._connect()
                self._changed()
                assert self._client is not None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(1.0, expiry - time.time() - _RENEW_SECONDS)):
                        await self._client.closed()
            except (MqttError, OSError, http.client.HTTPException, ValueError, KeyError) as error:
                log.debug("hub link of %s: %s", self._environment["IOTEDGE_MODULEID"], error)
            finally:
                await self._disconnect()
            await asyncio.sleep(0.5)

    async def twin(self) -> JsonObject:
        """`{"desired": ..., "reported": ...}`. Raises LinkError."""
        status, payload = await self._ask("$iothub/twin/GET/", b" ")
        if status != 200:
            raise LinkError(f"the twin was answered with {status}")
        content = json.loads(payload)
        return content if isinstance(content, dict) else {}

    async def report(self, patch: JsonObject) -> None:
        status, _ = await self._ask("$iothub/twin/PATCH/properties/reported/", json.dumps(patch).encode())
        if status != 204:
            raise LinkError(f"the report was answered with {status}")

    async def _ask(self, topic: str, payload: bytes) -> tuple[int, bytes]:
        client = self._client
        if client is None or not client.connected:
            raise LinkError("not connected")
        number = str(next(self._numbers))
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await client.publish(f"{topic}?$rid={number}", payload)
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await future
        except (MqttError, TimeoutError) as error:
            raise LinkError(f"no answer: {error}") from error
        finally:
            self._answers.pop(number, None)

    async def _connect(self) -> float:
        environment = self._environment
        device, module = environment["IOTEDGE_DEVICEID"], environment["IOTEDGE_MODULEID"]
        hub = environment["IOTEDGE_IOTHUBHOSTNAME"]
        expiry = int(time.time()) + TOKEN_SECONDS
        resource = quote_plus(f"{hub}/devices/{device}/modules/{module}")
        digest = await asyncio.to_thread(self._sign, f"{resource}\n{expiry}")
        token = f"SharedAccessSignature sr={resource}&sig={quote(digest, safe='')}&se={expiry}"
        connect = codec.Connect(
            client_id=f"{device}/{module}",
            username=f"{hub}/{device}/{module}/?api-version=2019-10-01&DeviceClientType=edge-expose-local-runtime",
            password=token,
            keepalive=60,
            clean_session=False,
        )
        self._client = MqttClient(connect, self._on_message)
        await self._client.connect(self._address, self._port, self._tls, server_name=hub)
        await self._client.subscribe(["$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"])
        return float(expiry)

    async def _disconnect(self) -> None:
        if self._client is not None:
            await self._client.disconnect()
            self._client = None

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic.startswith("$iothub/twin/res/"):
            status, _, query = topic.removeprefix("$iothub/twin/res/").partition("/?")
            number = dict(part.partition("=")[::2] for part in query.split("&")).get("$rid", "")
            future = self._answers.get(number)
            if future is not None and not future.done():
                future.set_result((int(status), payload))
        elif topic.startswith("$iothub/twin/PATCH/properties/desired/"):
            self._changed()

    def _sign(self, data: str) -> str:
        environment = self._environment
        url = urlsplit(environment["IOTEDGE_WORKLOADURI"])
        module, generation = environment["IOTEDGE_MODULEID"], environment["IOTEDGE_MODULEGENERATIONID"]
        path = f"{url.path}/modules/{quote(module, safe='')}/genid/{generation}/sign"
        body = {"keyId": "primary", "algo": "HMACSHA256", "data": base64.b64encode(data.encode()).decode()}
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            connection.request(
                "POST", f"{path}?api-version={environment['IOTEDGE_APIVERSION']}", json.dumps(body).encode()
            )
            response = connection.getresponse()
            content = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"the workload API answered {response.status}")
        return str(content["digest"])
