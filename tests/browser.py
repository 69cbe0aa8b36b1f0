"""A real browser for tests: a Chromium that is on PATH, without a window."""

import os
import shutil

import pytest

try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:
    expect = sync_playwright = None

NEED = "COLLECTIVES_NEED_BROWSER"  # in the environment: no browser is an error, no reason to skip
NAMES = "chromium", "chromium-browser", "google-chrome", "chrome"


def missing():
    """What has to be installed first, in a sentence; None if nothing has."""
    if sync_playwright is None:
        return "the page is not tested: needs playwright (pip install -e '.[browser]')"
    if not any(map(shutil.which, NAMES)):
        return "the page is not tested: needs chromium (Debian, Ubuntu: apt install chromium)"
    return None


def chromium():
    """A running Chromium, for a fixture."""
    if why := missing():
        (pytest.fail if os.environ.get(NEED) else pytest.skip)(why)
    path = next(filter(None, map(shutil.which, NAMES)))
    # As root, as in most containers, it starts without its sandbox only.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()
