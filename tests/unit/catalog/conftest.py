import pytest

from reelay.catalog.catalog import Catalog
from reelay.catalog.loader import load_catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()
