"""The sample workloads that the local cluster can start: a web front end, a database, an echo server."""
