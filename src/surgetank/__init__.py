"""Surgetank: rehearse a cloud control-plane outage, then ride it out with the same code."""

__all__ = ["__version__"]

__version__ = "0.1.0"
