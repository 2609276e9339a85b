"""How a cluster is furnished when it starts, and the socket by which people and tests move it. Does I/O."""
