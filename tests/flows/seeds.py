"""The flows of the document that asks for flows, as they stand there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
(DOCUMENT,) = (ROOT / "../shared/seeds").glob("002_*")
FLOWS = [
    block
    for block in re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if "id:" in block
]
