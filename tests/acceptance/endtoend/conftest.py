"""One stack for the tests that kill its parts. No part may die three times within a minute: then a stack gives up."""

from collections.abc import AsyncIterator

import pytest

from tests.acceptance.endtoend.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    async with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
