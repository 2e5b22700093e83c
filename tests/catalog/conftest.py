import pytest

from catalog.catalog import Catalog
from catalog.loader import load_catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()
