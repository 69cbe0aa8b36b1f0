"""A browser for the tests of the page."""

import pytest
from browser import chromium


@pytest.fixture(scope="session")
def browser():
    yield from chromium()
