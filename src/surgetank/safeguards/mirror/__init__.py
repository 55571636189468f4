"""Pull-through mirror of extension artifacts: what was read once stays readable."""
