"""Scenarios: what a file says, who acts in it, and with what share of the load."""
