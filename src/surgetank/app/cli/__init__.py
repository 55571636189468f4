"""The command line: parse, call, render. What it decides is only how to say it."""

from surgetank.app.cli.entry import main

__all__ = ["main"]
