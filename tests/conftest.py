"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE.

`@given` goes on sync tests, which call `trio.run` themselves: one run per example.
"""

import os

from hypothesis import settings

EXAMPLES = {"dev": 25, "ci": 500, "nightly": 20_000}

for name, examples in EXAMPLES.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, derandomize=False, print_blob=True
    )

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
