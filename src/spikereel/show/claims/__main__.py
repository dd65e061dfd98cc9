"""Write what is shipped, and the page, from the results of this copy of the repository."""

import json
from pathlib import Path

from spikereel.files import whole
from spikereel.show.claims import HERE
from spikereel.show.claims.pages import page
from spikereel.show.claims.stated import table
from spikereel.show.claims.verdicts import Results

root = Path(__file__).parents[4]
rows = table(Results(root / "benchmarks" / "results"))
for path, text in ((HERE, json.dumps(rows, indent=1) + "\n"), (root / "docs" / "claims.md", page(rows))):
    with whole(path) as draft:
        draft.write_text(text)
