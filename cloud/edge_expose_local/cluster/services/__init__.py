"""What is special about Services: their rules, their defaults, and the addresses and node ports they are given.

Does no I/O but through the store it is handed.
"""
