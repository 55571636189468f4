"""What people run: the command line, and the only place that picks live adapters."""
