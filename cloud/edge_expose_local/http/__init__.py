"""The HTTP/1.1 server of the stand-in, on h11 and asyncio, and JSON read strictly. Knows no IoT Hub. Does I/O."""
