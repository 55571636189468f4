"""Where routes of operations are: for those who answer, and for those who ask."""

OPERATIONS = "/v1/operations"
OPERATION = f"{OPERATIONS}/{{id}}"
HOLDS = "/v1/holds"
HOLD_ALL = f"{HOLDS}/all"
HOLD = f"{HOLDS}/{{scope}}/{{name}}"
COUNTS = "/v1/counts"
DEPENDENCIES = "/v1/dependencies"

RELEASED_MAX = 1_000_000
"""Operations that one request may let go."""
