"""Write the table of faults into docs/reliability.md: `make faults`."""

from tests.lab.reliability.catalogue import DOCUMENT, Catalogue, proofs, table, with_table

DOCUMENT.write_text(with_table(DOCUMENT.read_text(), table(Catalogue.read(), proofs())))
