"""A load balancer that behaves like MetalLB and speaks in its words, which lie in `recordings/`.

Does no I/O but through the registry.
"""
