"""The stand-in cloud of one region and its safeguards, on sockets: real clients talk to it."""
