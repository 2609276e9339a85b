"""A local cluster: a Kubernetes API, controllers, a load balancer like MetalLB, names and a working data path.

Does I/O; imports nothing of contract, module or cloud. `cluster.py` puts the parts together.
"""
