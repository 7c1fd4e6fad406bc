"""Debian's chromium without a screen, told what to do over its DevTools protocol."""

import base64
import json
import os
import pathlib
import subprocess


# What chromium says of a promise whose page is left.
GONE = ("navigated", "context was destroyed", "Promise was collected")


class Navigated(Exception):
    """The page that was asked is no more."""


class Chromium:
    """Use it in a with statement."""

    def __init__(self, program, home):
        there, self._write = os.pipe()
        self._read, back = os.pipe()
        self._process = subprocess.Popen(
            # It reads messages from descriptor 3 and writes them to 4.
            ["bash", "-c", f'exec "$@" 3<&{there} 4>&{back}', "bash", program, "--headless",
             "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
             "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={home}", "about:blank"],
            pass_fds=[there, back], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(there)
        os.close(back)
        self._messages = os.fdopen(self._read, "rb")
        self._rest, self._last = b"", 0
        self._pages = {}  # by session

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._write)  # which ends it
        self._messages.close()
        self._process.wait()

    def open(self, url, width=1120, height=1520, dark=False):
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)
        session = self.call("Target.attachToTarget", targetId=target["targetId"],
                            flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        page.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.call("Page.navigate", url=url)
        return page

    def call(self, method, session=None, **params):
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data):]
        while True:
            answer = self._receive()
            if answer.get("id") == message["id"]:
                trouble = answer.get("error", {}).get("message", "")
                if any(words in trouble for words in GONE):
                    raise Navigated
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("sessionId") in self._pages:
                self._pages[answer["sessionId"]].hear(answer)

    def _receive(self):
        while b"\0" not in self._rest:
            more = os.read(self._read, 1 << 20)
            assert more, "chromium is gone"
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)


class Page:
    def __init__(self, browser, session):
        self._browser, self._session = browser, session
        self.errors = []  # uncaught ones, and what the browser complains of

    def hear(self, message):
        if message["method"] == "Runtime.exceptionThrown":
            self.errors.append(message["params"]["exceptionDetails"])
        elif message["method"] == "Log.entryAdded":
            if message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"])

    def call(self, method, **params):
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression):
        """The value of a JavaScript expression, or of the promise that it is."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, condition, seconds=60):
        """Until the page has come to fulfil the condition; looks whenever it changes."""
        held = None
        while held is None:
            try:
                held = self._look_for(condition, seconds)
            except Navigated:
                pass  # look at the page that comes
        assert held, f"not within {seconds} s: {condition}\n{self.evaluate('document.body.innerText')}"

    def _look_for(self, condition, seconds):
        return self.evaluate(f"""new Promise((done) => {{
          const holds = () => {{
            try {{ return Boolean({condition}); }} catch (error) {{ return false; }}
          }};
          const observer = new MutationObserver(() => look());
          const look = () => {{
            if (!holds()) return;
            observer.disconnect();
            done(true);
          }};
          observer.observe(document, {{subtree: true, childList: true, attributes: true}});
          setTimeout(() => done(holds()), {1000 * seconds});
          look();
        }})""")

    def screenshot(self, path):
        shot = self.call("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))
