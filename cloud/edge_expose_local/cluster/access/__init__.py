"""Who asks, and what they may do: tokens, RBAC and the reviews that answer questions about both.

Does no I/O but for the keys of tokens in the state folder.
"""
