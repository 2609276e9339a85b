"""The HTTP/1.1 server and its certificates, which know nothing of Kubernetes. Does I/O."""
