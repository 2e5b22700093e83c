"""Writes a run's results into `docs/performance.md` and the notebook: `python -m lab.bench.document <run>.json...`.

A block stands between `<!-- bench: NAME -->` and `<!-- end -->`; what is around it, and a block of which the results
say nothing, stays as it is.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.bench.figures import read_results
from lab.bench.markdown import blocks_of, merged
from lab.bench.plot import svg_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    DOCS / "performance.md": ("summary",),
    Path(__file__).with_name("NOTEBOOK.md"): ("run", "goals", "cloud"),
}
"""Each document, and the blocks that stand in it."""


def with_blocks(text: str, blocks: Mapping[str, Sequence[str]]) -> str:
    """Raises: LookupError when the text has no place for one of them."""
    for name, lines in blocks.items():
        if not lines:
            continue
        place = re.search(rf"(?<=<!-- bench: {name} -->\n).*?(?=<!-- end -->)", text, re.DOTALL)
        if place is None:
            raise LookupError(f"there is no place for {name}")
        text = "\n".join([text[: place.start()], *lines, "", text[place.end() :]])
    return text


def main(paths: Sequence[Path]) -> None:
    results = merged([read_results(path) for path in paths])
    blocks = blocks_of(results)
    for page, names in PAGES.items():
        page.write_text(with_blocks(page.read_text(), {name: blocks[name] for name in names}))
    (DOCS / "images" / "growth.svg").write_text(svg_of(results))


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:]])
