"""Write the table of faults, with the tests that prove each, as Markdown: `make faults`."""

import sys

from tests.lab.reliability.catalogue import TABLE, Catalogue, proofs, table

TABLE.parent.mkdir(exist_ok=True)
TABLE.write_text(f"# Faults\n\n{table(Catalogue.read(), proofs())}\n", encoding="utf-8")
sys.stdout.write(f"{TABLE}\n")
