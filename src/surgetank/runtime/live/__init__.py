"""Real time: the system clock, one worker thread, HTTP over sockets."""
