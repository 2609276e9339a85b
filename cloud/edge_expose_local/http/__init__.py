"""The HTTP/1.1 server of the stand-in, on h11 and asyncio, WebSocket frames, and JSON read strictly. Knows neither IoT
Hub nor Kubernetes. Does I/O."""
