"""Numbered files, each applied once and in order; the number of the last is the schema version."""
