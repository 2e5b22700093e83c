"""The documents' clients: Chromium as for the page, and a user for each test."""

from tests.acceptance.browser.conftest import browser, visit
from tests.acceptance.systems.conftest import caller

__all__ = ["browser", "caller", "visit"]
