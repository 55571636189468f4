"""The words of Surgetank, pure: values, errors, ports and policy. No I/O, no clock, no chance."""
