"""Incidents as scenario files: package data."""
