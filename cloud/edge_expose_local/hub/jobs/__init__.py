"""Scheduled jobs: the operations of `/jobs/v2`, and the runner that works them off at the pace of an S1 hub."""
