"""MQTT 3.1.1: the wire codec and a small asyncio client. Knows nothing of IoT Hub."""
