"""MQTT over WebSocket on the port of HTTPS: `/$iothub/websocket`, subprotocol `mqtt`."""

from __future__ import annotations

from edge_expose_local.http import websocket
from edge_expose_local.http.messages import Connection, Handler, Request, Response
from edge_expose_local.hub.device_api.mqtt_server import MqttServer
from edge_expose_local.hub.transport.websocket import WebSocketChannel

SEGMENTS = ["$iothub", "websocket"]


class WebSocketDoor:
    """Answers WebSocket handshakes and hands everything else on."""

    def __init__(self, mqtt: MqttServer, other: Handler) -> None:
        self._mqtt = mqtt
        self._other = other

    async def handle(self, request: Request) -> Response | None:
        try:
            ours = [segment.lower() for segment in request.segments] == SEGMENTS
        except UnicodeError:
            ours = False
        if not ours:
            return await self._other(request)
        headers = websocket.accept(request, ["mqtt"])
        if isinstance(headers, str):
            return Response(400, headers.encode(), {"Content-Type": "text/plain"}, close=True)
        return Response(101, headers=headers, upgrade=self._serve)

    async def _serve(self, connection: Connection) -> None:
        await self._mqtt.serve(WebSocketChannel(connection))
