"""Drills: a scenario played with the real services on a virtual clock, and judged."""
