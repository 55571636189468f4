"""The laws, pure: outcome, breaker, backoff, budget, admission, release; governor composes them."""
