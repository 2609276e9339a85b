"""What people do with the tool, one file each, for the command line and the portal alike.

They use the Hub Protocol and pure modules; I/O only through what is handed in.
"""
