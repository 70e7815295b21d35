"""Fixture: a real Chromium that a test drives over a pipe, by the protocol of its developer tools."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-sync", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update"]  # fmt: skip
KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Space": ("Space", 32, " ")}


class Browser:
    """One page of a browser."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders, self._answers = orders, os.fdopen(answers, "rb")
        self._numbers, self._rest, self._session = itertools.count(1), b"", ""
        self.messages: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Give an order and wait until it is carried out."""
        number = next(self._numbers)
        order = {"id": number, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.messages.append(message)

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a page as on a screen of that width."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=url)

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it comes to."""
        done = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, code: str) -> Any:
        """The value of an expression once it is true: looked at whenever the page is drawn."""
        wait = f"""new Promise((done, fail) => {{
          const last = Date.now() + 60000, value = () => {{ try {{ return {code}; }} catch {{ return null; }} }};
          const look = () => {{
            const found = value();
            if (found) done(found);
            else if (Date.now() > last) fail(new Error('never true'));
            else setTimeout(look, 10);
          }};
          look(); }})"""
        return self.run(wait)

    def press(self, key: str) -> None:
        """Press a key of the keyboard."""
        code, number, text = KEYS[key]
        about = {"key": text if key == "Space" else key, "code": code, "windowsVirtualKeyCode": number}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Type over what is selected."""
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> bytes:
        """A PNG of the whole page."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path.read_bytes()

    def complaints(self) -> list[str]:
        """What the console says: errors, and what the content security policy blocked."""
        found = [
            message
            for message in self.messages
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
        ]
        return [json.dumps(message["params"]) for message in found]

    def requested(self) -> list[str]:
        """Every address that the page asked for."""
        sent = [message for message in self.messages if message.get("method") == "Network.requestWillBeSent"]
        return [message["params"]["request"]["url"] for message in sent]

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        self.ask("Browser.close")
        self._answers.close()
        os.close(self._orders)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._answers.fileno(), 1 << 16)
            assert piece, "the browser is gone"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    (orders_in, orders), (answers, answers_out) = os.pipe(), os.pipe()
    # The browser reads orders from descriptor 3 and writes to 4.
    start = f'exec "$0" "$@" 3<&{orders_in} 4>&{answers_out}'
    command = [
        "bash",
        "-c",
        start,
        CHROMIUM,
        *QUIET,
        "--remote-debugging-pipe",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    process = subprocess.Popen(
        command, pass_fds=(orders_in, answers_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(orders_in)
    os.close(answers_out)
    page = Browser(orders, answers)
    try:
        yield page
        page.close()
    finally:
        process.terminate()
        process.wait(30)
