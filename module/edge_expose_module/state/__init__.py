"""What the module remembers between starts, as values, and the protocol of the disk that keeps it. No I/O."""
