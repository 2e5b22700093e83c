"""Write docs/conformance.md: `make conformance`."""

from tests.acceptance.documents.conformance import TABLE, documents, table

TABLE.write_text(table(documents()) + "\n", encoding="utf-8")
