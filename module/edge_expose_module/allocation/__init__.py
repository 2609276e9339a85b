"""Which address every exposure gets: what may be given, who holds what, and what was refused. Pure."""
