"""Creating, changing and deleting objects of every kind, by the rules of the API server; events; patches.

All writes of typed objects go through `registry.py`. Does no I/O but through the store.
"""
