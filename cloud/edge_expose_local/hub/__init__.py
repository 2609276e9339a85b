"""A local IoT Hub: REST service API, MQTT device API, twins, configurations, methods, queries, workload API."""
