"""What devices say of themselves, and what follows from it: status, explain, doctor, wait, support bundle.

Calls the hub only through its Protocol.
"""
