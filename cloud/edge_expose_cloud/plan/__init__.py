"""What a change would do, as data: for a device, a deployment, a fleet; conflicts, ownership, backups, words.

Calls the hub only through its Protocol.
"""
