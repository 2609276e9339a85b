"""The Kubernetes API: from a request to a verb on a resource, and back as the answer the client asked for.

Does no I/O of its own: the HTTP server calls it, and it calls the registry.
"""
