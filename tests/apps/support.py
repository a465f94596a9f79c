"""What the checks with programs from elsewhere share: `stickshift up`, viewers, a browser, and how programs start and
end.
"""

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException

STICKSHIFT = Path(sys.argv[1]).resolve()
# Whoever ends a check ends what it has started.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36"


def rollout(*arguments, **environment):
    """An operator's command, and what it prints."""
    command = [str(part) for part in (STICKSHIFT, "rollout", *arguments)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def chromium(profile, *arguments, **preferences):
    """A browser with a profile of its own, in that folder."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server",
                     f"--user-data-dir={profile}", *arguments):
        options.add_argument(argument)
    options.add_experimental_option("prefs", preferences)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    return contextlib.closing(Quitting(driver))


class Quitting:
    """A driver that ends its browser when it is closed."""

    def __init__(self, driver):
        self.driver = driver

    def __getattr__(self, name):
        return getattr(self.driver, name)

    def close(self):
        self.driver.quit()


class Up:
    """`stickshift up` with apps behind it, or without any with our own."""

    def __init__(self, running, folder, ports=(), weight=50, stderr=None, flags=(), **variables):
        apps = [f"--app={version}=http://127.0.0.1:{port}" for version, port in enumerate(ports, 1)]
        any_port = [part for flag in ("--listen", "--dynamodb", "--admin-listen", "--dashboard") for part in (flag, "127.0.0.1:0")]
        command = [STICKSHIFT, "up", *any_port, "--weight", f"2={weight}", "--data-dir", folder / "data", *apps, *flags]
        process = start(running, command, None, stdout=subprocess.PIPE, stderr=stderr, text=True,
                        env=os.environ | variables)
        self.urls = {}
        for line in process.stdout:
            if row := re.match(r"  (\S+) +(http://\S+)", line):
                self.urls.setdefault(row[1], row[2])
            if line.startswith("Ctrl-C"):
                break
        self.url, self.data, self.variables = self.urls["CloudFront"], folder / "data", variables

    def rollout(self, *arguments):
        """An operator's command, and what it prints."""
        return rollout("--data-dir", self.data, *arguments, **self.variables)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()


class Viewer:
    """Somebody with a browser's headers and cookies."""

    def __init__(self, url):
        self.url = url
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def request(self, method, path, body=None, **headers):
        headers = {"User-Agent": AGENT} | headers
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with self.opener.open(request, timeout=30) as response:
                return Answer(response)
        except urllib.error.HTTPError as response:
            return Answer(response)


def clock_variables(value):
    """Lets a program see another time. The command `faketime` would not pass the signal to stop on."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1"} | value


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(running, command, port, **options):
    """Starts a process and waits until it listens. It ends with `running`."""
    process = subprocess.Popen([str(part) for part in command], **options)

    def stop():
        process.terminate()
        try:
            status = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        # The apps end in their own ways.
        assert status == 0 or command[0] != STICKSHIFT, f"stickshift exited with {status}"

    running.callback(stop)
    for _ in range(200):
        if port is None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        assert process.poll() is None, f"{command} has ended"
        time.sleep(0.1)
    else:
        raise SystemExit(f"{command} does not listen")
    return process


class Wire:
    """Stands between programs and their DynamoDB, and can be cut."""

    def __init__(self, running, url):
        host, port = url.removeprefix("http://").rsplit(":", 1)
        self.target, self.is_cut, self.open = (host, int(port)), False, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        running.callback(self.listener.close)

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self.target)
                self.open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            self.open.discard(end)

    def cut(self):
        self.is_cut = True
        for end in list(self.open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self.is_cut = False


def check_accessibility(driver, axe, name):
    """Fails if axe-core finds a fault. `axe`: the text of its script."""
    driver.execute_script(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = driver.execute_async_script(
        "const [tags, done] = arguments; axe.run(document, {runOnly: tags}).then(done)", tags)
    faults = [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]]
    assert not faults, f"{name}: {faults}"
    assert len(found["passes"]) > 10, "axe-core has looked"


def write_picture(path, png, colors=64):
    """Few colors are enough, and make a small file."""
    from PIL import Image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(png)).convert("RGB").quantize(colors).save(path, optimize=True)


def is_gone(element):
    """Whether the browser has left the element's page. While it changes pages, it says so in several ways."""
    try:
        element.is_enabled()
    except WebDriverException:
        return True
    return False
