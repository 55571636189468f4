"""Durable operations: stored before they are acknowledged, run to their end under a governor."""
