"""What was done by whom: the log chained by hash, its check, a copy for syslog. Files and sockets."""
