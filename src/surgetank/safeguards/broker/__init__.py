"""Token broker: one node's managed-identity tokens, fetched early and shared."""
