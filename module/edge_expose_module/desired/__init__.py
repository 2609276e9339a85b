"""What the document wants now: its source, the reads that are believed, and the guard rails it is held to.

Only `source` and `rails.reader` do I/O, through the twin and the cluster they are given.
"""
