"""What a controller manager does beside the API server: workloads, endpoints, garbage, and namespaces that end.

Each looks at everything again when woken. Does no I/O but through the registry.
"""
