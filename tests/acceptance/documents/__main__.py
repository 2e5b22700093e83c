"""Write the lines of the five documents, with their verdicts and tests, as Markdown: `make conformance`."""

import sys

from tests.acceptance.documents.conformance import TABLE, documents, table

TABLE.parent.mkdir(exist_ok=True)
TABLE.write_text(table(documents()) + "\n", encoding="utf-8")
sys.stdout.write(f"{TABLE}\n")
