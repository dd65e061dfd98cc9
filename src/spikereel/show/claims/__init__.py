"""What the papers claim, what was measured about it, and what that says: built from `benchmarks/results`.

`python -m spikereel.show.claims` writes what an installation carries (`claims.json`) and the page `docs/claims.md`
anew; a test holds both to the results. A verdict follows from figures by a rule and is never written by hand:

- a difference **holds** where the 95 % interval of its mean over paired seeds, three at least, lies above zero;
- it **does not here** where that interval reaches zero or lies below it;
- it is **open** where there are fewer seeds, or no measurement.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[2] / "claims.json"


def shipped() -> list[dict[str, Any]]:
    """The table of claims as of the release."""
    return json.loads(HERE.read_text())
