"""A real browser for tests: Debian's or another's Chromium, without a window."""

import os
import shutil

import pytest

NEED = (
    "COLLECTIVES_NEED_BROWSER"  # in the environment: no browser is an error, not a reason to skip
)
NAMES = "chromium", "chromium-browser", "google-chrome", "chrome"


def found():
    """Chromium's path, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def chromium():
    """A running Chromium, for a fixture."""
    path = found()
    if path is None:
        missing = "needs chromium (Debian, Ubuntu: apt install chromium)"
        if os.environ.get(NEED):
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright  # slow to import, and not for users

    with sync_playwright() as playwright:
        # As root, as in most containers, Chromium starts without its sandbox only.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()
