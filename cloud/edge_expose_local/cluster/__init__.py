"""A local cluster: a Kubernetes API, controllers, a load balancer that behaves like MetalLB, DNS and a working data path."""
