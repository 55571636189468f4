"""What stands for "no bound" in a decision, and the least that every decision leaves."""

UNPACED_PER_S = 1e9
"""A rate that holds nothing back, calls per second."""
UNLIMITED = 1e9
"""Calls at once that hold nothing back."""
ONLY_MODE = 1
"""The mode of a law that has but one: the number of our own RAMP, as all of them are on their way
up until something stops them."""
