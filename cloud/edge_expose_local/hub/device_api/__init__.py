"""The side of devices and modules: MQTT links, twin requests, methods, and the workload API of edged."""
