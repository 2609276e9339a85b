"""Situations in which a real component says something that the product must understand: one function each.

`tests/agreements/record.py` plays them on the real test bed and writes what was said to tests/agreements/recorded;
`tests/agreements/cluster/test_recordings.py` plays the same ones in CI, on the real combinations and on the embedded
cluster, and compares. Nothing in this folder knows an answer.
"""
