"""The cluster as the module sees it: the API it needs, the objects it read, and the watches that notice changes.

`observer` and `watches` do I/O, through the API they are given; the rest is values.
"""
