"""Nudges: plans, the occurrences they make, and the decision about each one."""
