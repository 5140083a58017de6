"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmxrec.study.store import Store

CHROMIUM = Path(os.environ.get("LLMXREC_CHROMIUM", "/usr/bin/chromium"))
SCALES = ("reasonability", "attractiveness", "redundancy")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}: apt-get install chromium, or set LLMXREC_CHROMIUM")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """A rater at their browser. `said` gathers what the browser complains of."""

    def __init__(self, browser: Any, store: Store, address: str, **kind: Any) -> None:
        self.address, self.store = address, store
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **kind})
        self.context.set_default_timeout(10_000)
        self.said: list[str] = []
        self.token = store.invite("third-party", "Ada", time.time())
        self.page = self.tab()

    def tab(self) -> Any:
        page = self.context.new_page()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        return page

    def sign_in(self) -> None:
        self.page.goto(f"{self.address}/enter/{self.token}")
        self.page.wait_for_url(f"{self.address}/")

    def begin(self) -> None:
        self.sign_in()
        self.page.get_by_role("link", name="Begin").click()
        self.page.wait_for_url("**/tasks/*")

    def fill(self, score: int = 7, page: Any = None) -> None:
        """Answer the task that is shown, without sending it."""
        page = page or self.page
        if page.locator("input[name=winner]").count():
            page.get_by_role("radio", name="no difference").check()
        else:
            for scale in SCALES:
                page.locator(f"input[name={scale}][value='{score}']").check()

    def send(self, page: Any = None) -> None:
        """Send the task that is shown, and wait for what comes after it."""
        page = page or self.page
        before = page.url
        self.button(page).click()
        page.wait_for_function("before => location.href != before", arg=before, polling=50)
        page.wait_for_load_state()

    def button(self, page: Any = None) -> Any:
        return (page or self.page).get_by_role("button", name="Store and go on")


def stored(store: Store) -> int:
    """How many answers the database holds."""
    with store.database.reading() as db:
        return int(db.exec_driver_sql("SELECT count(*) FROM rating").scalar_one())
