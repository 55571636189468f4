"""Studies: one scenario played many times, changed a little, and what that shows.

`sweep` moves one setting through some values, and `turning` says where the second outage goes;
`sensitivity` moves each assumed figure alone until the verdict flips, and `sensitivity_file` keeps
what it found. `bisection` looks for the place between two values.
"""
