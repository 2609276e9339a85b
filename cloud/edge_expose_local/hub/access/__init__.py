"""Who may come in: shared access signatures and the hub's certificates. Pure but for the certificate files."""
