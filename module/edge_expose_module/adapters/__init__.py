"""The walls of the module: IoT Hub twin, Kubernetes API, state file, health endpoint.

Third-party clients live only here.
"""
