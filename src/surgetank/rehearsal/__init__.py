"""The practice: scenarios, drills, and the library of incidents."""
