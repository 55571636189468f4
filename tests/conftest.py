"""For every test: how Hypothesis searches."""

import os

from hypothesis import settings

# The same examples on every run, so that a red build is the change's doing; a nightly run sets
# HYPOTHESIS_PROFILE=random. No deadline: a busy machine is not a defect.
settings.register_profile("derandomised", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "derandomised"))
