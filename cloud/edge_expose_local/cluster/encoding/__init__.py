"""Bodies on the wire: how an object is read from and written as bytes. Does no I/O."""
