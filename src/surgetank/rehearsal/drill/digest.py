"""What tells one scenario from another, however its file is written."""

import json
from hashlib import blake2b

from surgetank.rehearsal.scenario.schema import Scenario


def digest(scenario: Scenario) -> str:
    """Tell scenarios apart by what they say; how it is written, and what is left out, is no part."""
    said = scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    # YAML can spell half a character, which UTF-8 has no place for.
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
