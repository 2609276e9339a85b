"""The control API on the unix socket: what a device owner, a scheduler and bad luck do. JSON in, JSON out."""
