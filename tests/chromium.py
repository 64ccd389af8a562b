"""Headless Chromium for tests and scripts, and what it complains of."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# Where Chromium must be there, its absence fails instead.
REQUIRED = bool(os.environ.get("BAKEOFF_REQUIRE_CHROMIUM"))
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists() and not REQUIRED,
    reason=f"no Chromium at {CHROMIUM}: apt install chromium",
)


@dataclass
class Watch:
    """What a page says on its console and in dialogs, and which hosts it asks."""

    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)  # "" for a file or data

    def over(self, page: Page) -> "Watch":
        """Watch a page from now on."""
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda asked: self.hosts.add(urlsplit(asked.url).hostname or ""))
        return self

    def _hear(self, said: ConsoleMessage) -> None:
        # Streamlit looks for its server below a page's own address before it asks at the root.
        if "/_stcore/" not in said.location["url"]:
            self.complaints.append(f"{said.type}: {said.text}")

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()  # else the page would wait


@contextmanager
def launched() -> Iterator[Browser]:
    """Give a browser; it ends with the context."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()
