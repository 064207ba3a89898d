"""A small WebDriver client: a real Chromium without a window, driven over HTTP with the standard library.

    with Browser() as browser:
        browser.open("http://127.0.0.1:8583/")
        browser.click("#power")
        browser.until("return document.title")

Source: W3C WebDriver (https://www.w3.org/TR/webdriver2/), the part that a test needs. Chromium and its driver are the
distribution's packages `chromium` and `chromium-driver`; `available()` says whether both are there.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name that the standard gives an element's reference
START_S = 30.0
PATIENCE_S = 10.0

# WebDriver's private characters for keys that are no characters.
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Backspace": "\ue003", "Delete": "\ue017", "ArrowDown": "\ue015", "Tab": "\ue004"}


def available() -> bool:
    return bool(CHROMIUM and DRIVER)


class WebDriverError(Exception):
    """What the driver refused: its error word and message."""


class Browser:
    """One window. `size` is (width, height) of the page in CSS pixels; `scale` device pixels to one of them."""

    def __init__(self, size: tuple[int, int] = (1280, 800), scale: float = 1.0) -> None:
        if not (CHROMIUM and DRIVER):
            raise WebDriverError("chromium and chromedriver are not installed (Debian: chromium chromium-driver)")
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        port = _free_port()
        self._base = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            [DRIVER, f"--port={port}", "--log-level=OFF"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the whole group is ended at the end
            env=os.environ | {"HOME": self._profile.name},
        )
        try:
            self._wait_for_driver()
            session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": self._wishes(size, scale)}})
            self._base += "/session/" + session["sessionId"]
            self.resize(*size, scale)
        except BaseException:
            self.close()
            raise

    def _wishes(self, size: tuple[int, int], scale: float) -> dict[str, Any]:
        arguments = [
            "--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--mute-audio",
            "--disable-background-networking", "--autoplay-policy=no-user-gesture-required",
            f"--window-size={size[0]},{size[1]}", f"--user-data-dir={self._profile.name}",
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            arguments.append("--no-sandbox")  # Chromium's sandbox does not work for root
        return {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }

    def resize(self, width: int, height: int, scale: float = 1.0) -> None:
        """The page's size from now on; a narrow one is a phone's."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600},
        )

    def _wait_for_driver(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                if self._ask("GET", "/status")["ready"]:
                    return
            except (OSError, urllib.error.URLError):
                pass
            if time.monotonic() > end or self._driver.poll() is not None:
                raise WebDriverError("chromedriver does not answer")
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise WebDriverError(f"{value['error']}: {value['message'].splitlines()[0]}") from None

    def open(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that a piece of JavaScript returns; arguments are `arguments[0]` and so on."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str, *arguments: Any, seconds: float = PATIENCE_S) -> Any:
        """Waits until the script returns something true, looking at each frame inside the page; returns it."""
        wait = (
            "const given = [...arguments].slice(0, -2), [seconds, done] = [...arguments].slice(-2);"
            "const end = performance.now() + seconds * 1000;"
            "const check = function () {" + script + "};"
            "(function look() { let value; try { value = check.apply(null, given); } catch (error) { value = null; }"
            " if (value || performance.now() > end) done(value || null); else setTimeout(look, 16); })();"
        )
        self._ask("POST", "/timeouts", {"script": int(seconds * 1000) + 5000})
        value = self._ask("POST", "/execute/async", {"script": wait, "args": [*arguments, seconds]})
        if not value:
            raise WebDriverError(f"not within {seconds} s: {script}")
        return value

    def find(self, selector: str) -> str:
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        """A real click in the middle of the element; refused where something lies over it."""
        self._ask("POST", f"/element/{self.find(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def press(self, *keys: str) -> None:
        """Keys of the keyboard, one after the other, wherever the focus is: characters, or names of KEYS."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def drag(self, selector: str, target: str) -> None:
        """By the mouse, from the middle of one element to the middle of another."""
        start, end = ({ELEMENT: self.find(one)} for one in (selector, target))
        self._ask(
            "POST",
            "/actions",
            {
                "actions": [
                    {
                        "type": "pointer",
                        "id": "mouse",
                        "parameters": {"pointerType": "mouse"},
                        "actions": [
                            {"type": "pointerMove", "duration": 0, "origin": start, "x": 0, "y": 0},
                            {"type": "pointerDown", "button": 0},
                            {"type": "pointerMove", "duration": 50, "origin": start, "x": 12, "y": 12},
                            {"type": "pointerMove", "duration": 100, "origin": end, "x": 0, "y": 0},
                            {"type": "pointerUp", "button": 0},
                        ],
                    }
                ]
            },
        )

    def drag_along(self, selector: str, target: str, above: int, below: int) -> None:
        """By the mouse, from the middle of one element onto another and down it; above, below: pixels from its middle."""
        start, along = ({ELEMENT: self.find(one)} for one in (selector, target))
        moves = [
            (start, 0, 0),
            (start, 12, 12),
            (along, 0, above),
            (along, 0, (above + below) // 2),
            (along, 0, below),
            (start, 0, 0),
        ]
        steps = [
            {"type": "pointerMove", "duration": 60 if number else 0, "origin": origin, "x": x, "y": y}
            for number, (origin, x, y) in enumerate(moves)
        ]
        steps[1:1] = [{"type": "pointerDown", "button": 0}]
        steps.append({"type": "pointerUp", "button": 0})
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self._ask("POST", "/actions", {"actions": [mouse]})

    def slide(self, selector: str, start: float, end: float) -> None:
        """Drags the handle of a slider by the mouse; start, end: from 0.0 at its left to 1.0 at its right."""
        element = {ELEMENT: self.find(selector)}
        width = self.run("return document.querySelector(arguments[0]).getBoundingClientRect().width", selector)
        places = [round((place - 0.5) * width) for place in (start, (start + end) / 2, end)]
        moves = [
            {"type": "pointerMove", "duration": 60 if number else 0, "origin": element, "x": x, "y": 0}
            for number, x in enumerate(places)
        ]
        steps = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self._ask("POST", "/actions", {"actions": [mouse]})

    def text(self, selector: str) -> str:
        return self._ask("GET", f"/element/{self.find(selector)}/text")

    def screenshot(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def complaints(self) -> list[str]:
        """What the page's console holds of warnings and errors since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """A command of Chromium's own protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def close(self) -> None:
        try:
            if "/session/" in self._base:
                self._ask("DELETE", "")
        except (OSError, WebDriverError):
            pass
        _end_group(self._driver)
        self._profile.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """The driver and the browser that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
    process.wait(5)


def wait_for(check: Callable[[], object], seconds: float = PATIENCE_S) -> object:
    """For what lies outside the page: looks until `check()` is true."""
    end = time.monotonic() + seconds
    while not (value := check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.02)
    return value
