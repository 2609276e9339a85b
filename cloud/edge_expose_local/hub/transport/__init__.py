"""Bytes to requests and back: the HTTP server, strict JSON, and the port mapper. Knows nothing of IoT Hub."""
