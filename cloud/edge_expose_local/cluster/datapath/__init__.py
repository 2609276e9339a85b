"""Listeners that lead from external addresses, cluster IPs and node ports to pods, and the name server. Does I/O."""
