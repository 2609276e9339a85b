"""Generates what is committed and compared in CI: reference pages, JSON Schemas, rendered samples.

Reads and writes the checkout.
"""
