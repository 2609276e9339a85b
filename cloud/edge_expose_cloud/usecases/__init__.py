"""What people do with the tool, one file each: they use the Hub Protocol and pure modules, and are called by the command
line and the portal alike. I/O only through what is handed in."""
