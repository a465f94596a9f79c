"""Puts apps that Stickshift did not make behind it, and checks that viewers and a browser notice nothing. Then tries
what else needs programs from elsewhere: a browser with previews, an emulator of AWS, wrong clocks.

`.ci/apps` runs this in the folder of the repository, with the packages of requirements.txt. Usage:
check.py STICKSHIFT
"""

import contextlib
import fcntl
import gzip
import hmac
import json
import os
import pty
import re
import ssl
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import boto3
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from websockets.sync.client import connect

from support import AGENT, STICKSHIFT, Up, Viewer, chromium, clock_variables, free_port, rollout, start

APPS = Path(__file__).resolve().parent
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ }}
http {{
  include /etc/nginx/mime.types; access_log off; gzip on; gzip_types text/css; gzip_min_length 100; gzip_proxied any;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


def main():
    for check in (http_server, nginx, express, websockets, tls, browser, previews, site, clocks, terminal):
        with contextlib.ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            print(f"{check.__name__}: {check(running, folder)}", flush=True)


def http_server(running, folder):
    ports = [free_port(), free_port()]
    for version, port in enumerate(ports, 1):
        www = folder / str(version)
        www.mkdir()
        (www / "index.html").write_text(f"version {version}")
        command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", www]
        start(running, command, port, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    up = Up(running, folder, ports)
    counts = {"version 1": 0, "version 2": 0}
    for _ in range(30):
        viewer = Viewer(up.url)
        pages = {viewer.get("/").body.decode() for _ in range(5)}
        assert len(pages) == 1, f"a session saw {pages}"
        counts[pages.pop()] += 1
    assert all(counts.values()), counts
    up.rollout("set-weight", "2=0")
    time.sleep(11)
    assert {Viewer(up.url).get("/").body for _ in range(10)} == {b"version 1"}
    return f"30 sessions stayed where they began: {counts}"


def nginx(running, folder):
    www = folder / "www/assets"
    www.mkdir(parents=True)
    text = "".join(f"p {{ margin: {number}px }}\n" for number in range(2000)).encode()
    (www / "style.css").write_bytes(text)
    (folder / "www/index.html").write_text("<!DOCTYPE html><title>Static</title>")
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    start(running, ["nginx", "-c", folder / "nginx.conf"], port)
    up = Up(running, folder, [port, port], STICKSHIFT_ASSET_PATHS="/assets/")
    viewer = Viewer(up.url)
    direct = Viewer(f"http://127.0.0.1:{port}")
    assert viewer.get("/").status == 200
    for path in ("/assets/style.css", "/_v/2/assets/style.css"):
        whole = viewer.get(path)
        assert (whole.body, whole.headers["Content-Type"]) == (text, "text/css")
        for name in ("ETag", "Last-Modified", "Accept-Ranges", "Content-Length"):
            assert whole.headers[name] == direct.get("/assets/style.css").headers[name], name
        assert "Set-Cookie" not in whole.headers and "Cache-Control" not in whole.headers
        part = viewer.get(path, Range="bytes=100-199")
        assert (part.status, part.body) == (206, text[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(text)}"
        assert viewer.get(path, Range="bytes=999999-").status == 416
        packed = viewer.get(path, **{"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.body) == text
        fresh = viewer.get(path, **{"If-None-Match": whole.headers["ETag"]})
        assert (fresh.status, fresh.body) == (304, b"")
        head = viewer.request("HEAD", path)
        assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(text)), b"")
    assert viewer.get("/_v/2/index.html").status == 404
    return "ranges, gzip, ETags, HEAD and the prefix of assets arrive as without Stickshift"


def express(running, folder):
    ports = [free_port(), free_port()]
    for version, port in enumerate(ports, 1):
        start(running, ["node", APPS / "express/app.mjs", str(port), str(version)], port)
    up = Up(running, folder, ports)
    viewer = Viewer(up.url)
    page = viewer.get("/")
    assert re.fullmatch(rb"<!DOCTYPE html><title>Shop</title><h1>Version [12]</h1>", page.body)
    cookies = page.headers.get_all("Set-Cookie")
    assert len(cookies) == 2 and page.headers["Cache-Control"] == "private, no-store", cookies
    body = {"text": "ü" * 100_000}
    answer = viewer.request("POST", "/echo", json.dumps(body).encode(), **{"Content-Type": "application/json"})
    told = json.loads(answer.body)
    assert told["body"] == body
    assert (told["ip"], told["protocol"], told["headers"]["cookie"]) == ("127.0.0.1", "http", "visits=1")
    assert len(told["headers"]["x-stickshift-session"]) == 8
    assert viewer.get("/parts").body == b"".join(b"part %d\n" % part for part in range(5))
    assert viewer.get("/nothing").status == 404
    return "pages, cookies, JSON and streamed answers arrive; Express sees the viewer's address"


def websockets(running, folder):
    port = free_port()
    start(running, [sys.executable, APPS / "echo.py", str(port)], port, stderr=subprocess.DEVNULL)
    up = Up(running, folder, [port, port])
    talk(up.url.replace("http", "ws"))
    return "200 messages, 4 MiB in one, a ping and the reason for closing pass"


def tls(running, folder):
    app, port = free_port(), free_port()
    start(running, [sys.executable, APPS / "echo.py", str(app)], app, stderr=subprocess.DEVNULL)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days",
            "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*made, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    command = [STICKSHIFT, "sidecar", "--version-code", "1", "--upstream", f"http://127.0.0.1:{app}", "--embedded"]
    command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0", "--data-dir", folder / "data"]
    files = {"STICKSHIFT_TLS_CERTIFICATE": str(certificate), "STICKSHIFT_TLS_KEY": str(key)}
    start(running, command, port, env=os.environ | files)
    talk(f"wss://localhost:{port}", ssl=ssl.create_default_context(cafile=certificate))
    return "a WebSocket passes by TLS"


def talk(url, **options):
    """Sends an echo what a WebSocket must carry."""
    with connect(f"{url}/socket", max_size=None, user_agent_header=AGENT, **options) as socket_:
        for number in range(200):
            socket_.send(f"message {number}")
        for number in range(200):
            assert socket_.recv(timeout=10) == f"message {number}"
        large = os.urandom(4 << 20)
        socket_.send(large)
        assert socket_.recv(timeout=30) == large
        socket_.ping().wait(10)
        socket_.close(1000, "done")
        assert (socket_.close_code, socket_.close_reason) == (1000, "done")


def browser(running, folder):
    up = shops(running, folder)
    driver = running.enter_context(chromium(folder / "profile"))
    # An element that was found may be gone before it is read, while the browser goes to the next page.
    wait = WebDriverWait(driver, 20, ignored_exceptions=[StaleElementReferenceException])
    driver.get(up.url + "/")
    home = driver.find_element(By.ID, "version").text
    other = {"1": "2", "2": "1"}[home]

    driver.find_element(By.ID, "name").send_keys("Ada")
    driver.find_element(By.ID, "login").click()
    wait.until(lambda _: driver.find_element(By.ID, "user").text == "Ada")
    assert driver.find_element(By.ID, "version").text == home

    large = folder / "large.bin"
    with large.open("wb") as file:
        file.truncate(100 << 20)
    driver.find_element(By.ID, "file").send_keys(str(large))
    driver.find_element(By.ID, "upload").click()
    wait.until(lambda _: driver.find_elements(By.ID, "size"))
    assert driver.find_element(By.ID, "size").text == str(100 << 20)
    assert driver.find_element(By.ID, "version").text == home

    driver.get(up.url + "/")
    count = lambda what: driver.execute_script(f"return window.{what}.length ?? window.{what}")
    wait.until(lambda _: count("events") > 2)
    driver.execute_script("window.socket.send('one')")
    wait.until(lambda _: count("messages") == 1)
    # All new sessions go to the other version. This one stays, with its streams.
    up.rollout("promote", other)
    time.sleep(11)
    assert (count("closings"), count("broken")) == (0, 0), "a change of weights broke a stream"
    driver.execute_script("window.socket.send('two')")
    wait.until(lambda _: driver.execute_script("return window.messages") == [f"{home}: one", f"{home}: two"])
    before = count("events")
    wait.until(lambda _: count("events") > before)
    assert set(driver.execute_script("return window.events")) == {home}

    # An evict breaks the streams off, and they come back on the other version.
    begin = time.monotonic()
    up.rollout("abort", home, "--evict")
    wait.until(lambda _: driver.execute_script("return window.events")[-1] == other)
    # The edge may know of the evict later than the sidecar. Then a stream first comes back where it was.
    send = "if (window.socket.readyState === 1) window.socket.send('three'); return window.messages"
    wait.until(lambda _: driver.execute_script(send)[-1] == f"{other}: three")
    assert count("closings") >= 1
    seconds = time.monotonic() - begin
    driver.get(up.url + "/")
    assert driver.find_element(By.ID, "version").text == other
    assert driver.find_element(By.ID, "user").text == "Ada"
    return (f"Chromium logged in, uploaded 100 MB and kept its streams on version {home}; "
            f"{seconds:.0f} s after the evict they were on version {other}")


def previews(running, folder):
    up = shops(running, folder)
    origin = json.loads(up.rollout("status", "--json"))["plan"]["versions"]["2"]["origin"]
    up.rollout("remove", "2", "--force")
    up.rollout("add", "2", "--origin", f"http://{origin['domain']}:{origin['port']}")
    time.sleep(11)
    driver = running.enter_context(chromium(folder / "profile"))
    link = lambda *arguments: json.loads(up.rollout("preview", *arguments, "--json"))
    cookies = lambda: {cookie["name"]: cookie["value"] for cookie in driver.get_cookies()}

    def version(path="/"):
        driver.get(up.url + path)
        return driver.find_element(By.ID, "version").text

    def forged(key, redeem_by):
        """A link that is made as SECURITY.md says, and not by Stickshift."""
        sign = lambda key, text: hmac.digest(key.encode(), text.encode(), "sha256").hex()
        link = f"2.{redeem_by}.{int(time.time()) + 600}"
        return f"/?stickshift-pass={link}.{sign(sign(key, 'stickshift pass'), f'link.{link}')[:32]}"

    assert version() == "1"
    own = cookies()["sessiontoken"]
    driver.get(link("2", "--path", "/?a=1")["link"])
    assert driver.current_url == up.url + "/?a=1", driver.current_url
    assert driver.find_element(By.ID, "version").text == "2"
    assert cookies()["sessiontoken"] == own and "sessiontoken-pass" in cookies()
    assert driver.execute_script("return document.cookie") == "", "no script can read them"
    under_pass = cookies()["sessiontoken-pass"]
    # The same browser, another tab.
    driver.switch_to.new_window("tab")
    assert version() == "2"
    assert cookies()["sessiontoken-pass"].split(".")[0] == under_pass.split(".")[0]
    # Withdrawn, nobody sees it, and the browser has its own session again. Then it comes back.
    up.rollout("abort", "2", "--evict")
    time.sleep(11)
    assert version() == "1" and cookies()["sessiontoken"].split(".")[0] == own.split(".")[0]
    up.rollout("set-weight", "2=1")
    time.sleep(11)
    assert version() == "2"
    driver.get(link("--leave")["leave"])
    assert driver.current_url == up.url + "/"
    assert driver.find_element(By.ID, "version").text == "1" and "stickshift-pass" not in cookies()
    # Made with another key; redeemed late; redeemed in time.
    key = (folder / "data/keys").read_text().strip()
    assert version(forged("0" * 64, int(time.time()) + 60)) == "1"
    assert version(forged(key, int(time.time()) - 1)) == "1"
    assert version(forged(key, int(time.time()) + 60)) == "2"
    # A link that somebody has changed, and a pass that ends.
    driver.get(link("2")["link"].replace("stickshift-pass=2", "stickshift-pass=1"))
    assert driver.find_element(By.ID, "version").text == "1" and "stickshift-pass" not in cookies()
    driver.get(link("2", "--for", "5s")["link"])
    assert driver.find_element(By.ID, "version").text == "2"
    time.sleep(5)
    assert version() == "1"
    return ("Chromium saw a staged and a live version by links, in two tabs, "
            "and its own session before, between and after")


def site(running, folder):
    port, up = free_port(), Up(running, folder, [free_port(), free_port()])
    start(running, [sys.executable, "-m", "moto.server", "-p", str(port)], port, stderr=subprocess.DEVNULL)
    emulator = f"http://127.0.0.1:{port}"
    access = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "eu-central-1"}
    parameters = boto3.client("ssm", region_name="eu-central-1", endpoint_url=emulator, aws_access_key_id="any",
                              aws_secret_access_key="any")
    record = {"format": 1, "home_region": "eu-central-1", "sessions_table": "SessionsTable",
              "rollout_table": "RolloutTable", "replicas": ["us-east-1"], "url": "https://shop.example",
              "pass_key": "/stickshift/shop/pass-key"}
    parameters.put_parameter(Name="/stickshift/shop/site", Value=json.dumps(record), Type="String")
    parameters.put_parameter(Name="/stickshift/shop/pass-key", Value="ab" * 32, Type="SecureString")
    environment = access | {"AWS_ENDPOINT_URL_SSM": emulator, "AWS_ENDPOINT_URL_DYNAMODB": up.urls["DynamoDB"]}
    told = lambda *arguments: rollout("--site", "shop", *arguments, **environment)
    assert json.loads(told("status", "--json"))["plan"]["revision"] == 1
    made = json.loads(told("preview", "2", "--json"))
    assert made["link"].startswith("https://shop.example/?stickshift-pass=2."), made
    steps = json.loads(told("explain", "a=1", "--from", "us-west-2", "--json"))["steps"]
    assert {"step": "replica", "found": "plan and session as us-east-1 has them"} in steps, steps
    missing = subprocess.run([STICKSHIFT, "rollout", "--site", "shoe", "status"], env=os.environ | environment,
                             capture_output=True, text=True)
    assert missing.returncode == 1 and "the parameter /stickshift/shoe/site in eu-central-1" in missing.stderr, missing
    return "the tables, the address and the key of passes were found by the name of the site"


def clocks(running, folder):
    up = Up(running, folder, [free_port(), free_port()])
    tables = {"STICKSHIFT_SESSIONS_TABLE": "Sessions.Clocks", "STICKSHIFT_ROLLOUT_TABLE": "Rollout.Clocks"}
    times = {"STICKSHIFT_TOUCH_INTERVAL_SECONDS": "3", "STICKSHIFT_TRUST_WINDOW_SECONDS": "3"}
    access = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1",
              "AWS_ENDPOINT_URL_DYNAMODB": up.urls["DynamoDB"]}
    environment = os.environ | tables | times | access | {"STICKSHIFT_KEYS": "0123456789abcdef" * 2}
    edge_port, *ports = [free_port() for _ in range(3)]
    origins = [part for version, port in enumerate(ports, 1) for part in ("--origin", f"{version}=localhost:{port}")]
    edge = [STICKSHIFT, "edge", "--listen", f"127.0.0.1:{edge_port}", "--dynamodb", up.urls["DynamoDB"], *origins]
    start(running, [*edge, "--weight", "2=50"], edge_port, env=environment)
    for version, (port, offset) in enumerate(zip(ports, ("-60s", "+60s")), 1):
        served = [STICKSHIFT, "serve", "--theme", Path.cwd() / f"themes/version{version}.toml"]
        served += ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
        start(running, served, port, env=environment | clock_variables({"FAKETIME": offset}))
    told = lambda *arguments: rollout("--rollout-table", "Rollout.Clocks", "--sessions-table", "Sessions.Clocks",
                                      *arguments, **access)

    def version(viewer):
        page = viewer.get("/").body.decode()
        return re.search(r"This is application Version (\d)", page)[1]

    viewers = [Viewer(f"http://127.0.0.1:{edge_port}") for _ in range(12)]
    began = [version(viewer) for viewer in viewers]
    assert set(began) == {"1", "2"}, began
    for _ in range(12):
        time.sleep(1)
        assert [version(viewer) for viewer in viewers] == began, "a session changed its version"
    status = json.loads(told("status", "--json"))
    reports = status["last_five_minutes"]
    assert [reports[version]["instances"] for version in "12"] == [1, 1], status
    assert sum(reports[version]["drawn"] for version in "12") == 12, status
    assert sum(status["live_sessions"][version]["sessions"] for version in "12") == 12, status
    told("set-weight", "2=80")
    told("abort", "2", "--evict")
    time.sleep(11)
    assert {version(viewer) for viewer in viewers} == {"1"}
    told("promote", "2")
    for _ in range(5):
        time.sleep(1)
        assert {version(viewer) for viewer in viewers} == {"1"}, "a session changed its version"
    return "two versions whose clocks are two minutes apart kept 12 sessions, and an evict moved them once"


def terminal(running, folder):
    up = Up(running, folder, [free_port(), free_port()])
    reason = "a reason that is longer than a line of the terminal can be, and goes on below"
    up.rollout("drain", "2", "--reason", reason)

    def seen(columns, *arguments):
        """What somebody sees in a terminal with so many columns."""
        command = [str(part) for part in (STICKSHIFT, "rollout", "--data-dir", up.data, *arguments)]
        process, screen = pty.fork()
        if process == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            os.execv(command[0], command)
        output = b""
        with contextlib.suppress(OSError):
            while part := os.read(screen, 65536):
                output += part
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        return output.decode()

    narrow = seen(60, "status")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in narrow.splitlines()]
    assert max(map(len, lines)) <= 60, lines
    assert sum(line.startswith("  live sessions") for line in lines) == 2, "the versions stand below each other"
    assert "goes on below" in " ".join(lines) and "  version  " in narrow
    wide = seen(200, "status")
    assert sum(line.startswith("  live sessions") for line in wide.splitlines()) == 1
    piped = up.rollout("status")
    assert "\x1b" not in piped and max(map(len, piped.splitlines())) > 60
    return "60 columns show every version and every word, and a pipe gets whole lines without colors"


def shops(running, folder):
    """`stickshift up` with two versions of the app on FastAPI."""
    ports = [free_port(), free_port()]
    for version, port in enumerate(ports, 1):
        command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port), "--log-level", "warning"]
        start(running, command, port, cwd=APPS, env=os.environ | {"VERSION": str(version)})
    return Up(running, folder, ports)


main()
