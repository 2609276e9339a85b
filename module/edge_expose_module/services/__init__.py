"""From exposures with addresses to Services: what is declared, how that differs from what exists, and the writes.

Only `apply` does I/O, through the cluster it is given.
"""
