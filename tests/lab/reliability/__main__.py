"""Write the table of faults, with the tests that prove each, as Markdown: `make faults`."""

import sys

from tests.lab.reliability.faults import TABLE, Faults, proofs, table

TABLE.parent.mkdir(exist_ok=True)
TABLE.write_text(f"# Faults\n\n{table(Faults.read(), proofs())}\n", encoding="utf-8")
sys.stdout.write(f"{TABLE}\n")
