"""A real Chromium without a window, driven over the two pipes that it has for debuggers: no port, no driver."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None)
LONGEST_WAIT_S = 60
# As root, as in a container, Chromium starts without its sandbox or not at all; the pages are the tests' own.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# Text that a key writes, and its number.
KEYS = {"Enter": ("\r", 13), " ": (" ", 32), "Escape": ("", 27), "Tab": ("", 9)} | {
    "ArrowLeft": ("", 37),
    "ArrowRight": ("", 39),
}


class Page:
    """One page: what a person does to it, and what is in it; ``said`` are its errors and breaches of its policy."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest, self._number, self._session = b"", 0, ""
        self._is_loaded = False
        self.said: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        os.write(self._to, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode())
        os.write(self._to, b"\0")
        while (answer := self._read()).get("id") != self._number:
            self._note(answer.get("method"), answer.get("params", {}))
        assert "error" not in answer, f"{method}: {answer['error']['message']}"
        return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], LONGEST_WAIT_S)
            assert ready, f"Chromium has said nothing for {LONGEST_WAIT_S} s"
            found = os.read(self._from, 1 << 20)
            assert found, "Chromium has ended"
            self._rest += found
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, event: str | None, content: dict[str, Any]) -> None:
        self._is_loaded |= event == "Page.loadEventFired"
        if event == "Runtime.exceptionThrown":
            self.said.append(json.dumps(content["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.said.append(content["entry"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.said.append(json.dumps(content["args"]))

    def open(self, file: Path) -> None:
        """Load a file and wait for all of it."""
        self._is_loaded = False
        self.call("Page.navigate", url=file.as_uri())
        while not self._is_loaded:
            answer = self._read()
            self._note(answer.get("method"), answer.get("params", {}))

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for what the page does a moment later."""
        end = time.monotonic() + LONGEST_WAIT_S
        while not self.ask(expression):
            assert time.monotonic() < end, f"never true: {expression}"

    def press(self, *keys: str) -> None:
        """Keys, one after the other, to what has the focus."""
        for key in keys:
            text, code = KEYS[key]
            stroke = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **stroke)
            self.call("Input.dispatchKeyEvent", type="keyUp", **stroke)

    def write(self, text: str) -> None:
        """Text into what has the focus, in place of what stands there."""
        self.ask("document.activeElement.select()")
        self.call("Input.insertText", text=text)

    def click(self, element: str) -> None:
        """The mouse on the middle of an element, which an expression gives."""
        self.ask(f"{element}.scrollIntoView({{block: 'center'}})")
        x, y = self.ask(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({element}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screen(self, width: int = 1200, *, dark: bool = False, media: str = "screen") -> None:
        """Width of the window in px, the colours that its reader likes, and screen or print."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])


def _moved(end: int) -> int:
    """The end of a pipe under a number above those that mean something."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD, 10)
    os.close(end)
    return moved


@contextmanager
def browser() -> Iterator[Page]:
    """A page in a Chromium with an empty profile; both are gone afterwards."""
    assert PROGRAM
    hears, to_browser = os.pipe()
    from_browser, speaks = os.pipe()
    # Chromium's own rule: it hears on 3 and speaks on 4, which may be what the pipes were given.
    hears, speaks = _moved(hears), _moved(speaks)
    start = f'exec "$@" 3<&{hears} 4>&{speaks}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["bash", "-c", start, "bash", PROGRAM, *OPTIONS, f"--user-data-dir={profile}"],
            pass_fds=(hears, speaks),
            stderr=subprocess.DEVNULL,
        )
        os.close(hears)
        os.close(speaks)
        try:
            yield Page(to_browser, from_browser)
        finally:
            process.kill()
            process.wait()
            os.close(to_browser)
            os.close(from_browser)
