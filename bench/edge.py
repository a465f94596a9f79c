"""Compares the Lambda@Edge function with the article's in Python, one in JavaScript, and one that
does nothing."""

import contextlib
import hmac
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from measure import (AGENT, DYNAMODB, PEERS, ROOT, TARGET, machine, need, python_with_article, start, start_stickshift,
                     version, wait_for_port)

BUNDLE = TARGET / "edge/stickshift-edge.zip"
EXAMPLE = ROOT / "edge/tests/it/data/origin-request.json"
TLS = "127.0.0.1:18443"
# A function with 128 MB has this share of a core. A function with 1,769 MB has a whole core.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
SHARE = 128 / 1769
# The number of calls that are measured in a round, for each reason.
WARM = {"receipt": 2000, "record": 400, "roll": 2000}
SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")


def run(rounds):
    for tool, package in {"npm": None, "node": "nodejs", "openssl": None, "stunnel4": None, "zip": None, "unzip": None}.items():
        need(tool, package)
    subprocess.run(["cargo", "build", "--profile", "dist", "-p", "stickshift"], cwd=ROOT, check=True)
    subprocess.run([ROOT / "edge/lambda/bundle"], check=True, stdout=subprocess.DEVNULL)
    packages = javascript_packages()
    python = python_with_article()

    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        start_stickshift(running, folder / "data")
        start_tls(running, folder)
        key = (folder / "data/keys").read_text().split()[0]
        node = packages / "node_modules/node24/bin/node"
        drive = PEERS / "edge/drive.mjs"
        transports = {"TLS": f"https://localhost:{TLS.split(':')[1]}", "HTTP": f"http://{DYNAMODB}"}
        peers = {}
        for transport, url in transports.items():
            function = unzip(folder / transport, url, key)
            # Stickshift and the article's function read the same root certificates, as many as a
            # system has. The JavaScript function uses those that Node contains.
            roots = str(folder / "roots.pem")
            aws = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": url, "AWS_ACCESS_KEY_ID": "x",
                   "AWS_SECRET_ACCESS_KEY": "x", "PATH": os.environ["PATH"]}
            peers[transport] = {
                "bare Node": ([node, drive, PEERS / "edge/bare.mjs"], aws),
                "Stickshift": ([node, drive, function / "index.mjs"], aws | {"SSL_CERT_FILE": roots}),
                "JavaScript": ([node, drive, packages / "javascript.cjs"], aws | {"NODE_EXTRA_CA_CERTS": str(folder / "ca.pem")}),
                "article": ([python, PEERS / "edge/drive.py", PEERS / "edge/article.py"], aws | {"AWS_CA_BUNDLE": roots}),
            }
        group = Throttle(running)
        figures = Figures()
        for number in range(-1, rounds):
            for transport in transports:
                for peer, (command, environment) in rotated(peers[transport], number):
                    viewer = Viewer(key)
                    found = measure(peer, command, environment, viewer, group)
                    # Round -1 is a warm-up: its results do not count.
                    if number >= 0:
                        figures.add(transport, peer, found)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    report(figures, rounds, version(node, "--version"), group)


def rotated(peers, number):
    """Returns the peers. Each round starts with a different peer."""
    items = list(peers.items())
    first = number % len(items)
    return items[first:] + items[:first]


def measure(peer, command, environment, viewer, group):
    found = {}
    with Instance(command, environment) as instance:
        found["init ms"] = instance.init_ms
        begin = time.perf_counter()
        answer = instance.call(viewer.event(peer, "record"))["answer"]
        found["cold ms"] = instance.init_ms + (time.perf_counter() - begin) * 1000
        check(peer, "record", answer)
        for reason, times in WARM.items():
            if peer == "bare Node" or (reason == "receipt" and peer != "Stickshift"):
                continue
            event = viewer.event(peer, reason)
            instance.call(event, times // 4)
            result = instance.call(event, times)
            check(peer, reason, result["answer"])
            walls = sorted(result["walls_us"])
            found |= {f"{reason} p50 us": statistics.median(walls), f"{reason} p99 us": walls[len(walls) * 99 // 100],
                      f"{reason} cpu us": result["cpu_us"]}
    if group.is_possible:
        with Instance(command, environment) as instance:
            group.take(instance.process.pid)
            result = instance.call(viewer.event(peer, "record"))
            check(peer, "record", result["answer"])
            found["throttled ms"] = result["walls_us"][0] / 1000
    return found


def check(peer, reason, answer):
    """Ends the benchmark if an answer is wrong: the speed of a wrong answer does not count."""
    if peer == "Stickshift":
        route = answer["headers"]["x-stickshift-route"][0]["value"]
        version_code = answer["headers"]["x-stickshift-version"][0]["value"]
        is_right = route == reason and (reason == "roll" or version_code == "2")
    else:
        domain = answer["origin"]["custom"]["domainName"]
        is_right = peer == "bare Node" or reason == "roll" or domain == "origin-two.example.org"
    if not is_right:
        sys.exit(f"bench/run: {peer} gave a wrong answer to a `{reason}` event: {json.dumps(answer)}")


class Viewer:
    """A viewer with a session on version 2. The session's item is in the table."""

    def __init__(self, key):
        self.key = key
        self.token = secrets.token_hex(20)
        self.touched = int(time.time()) - 90
        item = {"token": {"S": self.token}, "version": {"S": "2"}, "expiration": {"N": str(self.touched + 720)},
                "started": {"N": str(self.touched)}, "touched": {"N": str(self.touched)},
                "revision": {"N": "1"}, "placement": {"S": "drawn"}}
        dynamodb("PutItem", {"TableName": "SessionsTable", "Item": item})

    def event(self, peer, reason):
        event = json.loads(EXAMPLE.read_text())
        headers = event["Records"][0]["cf"]["request"]["headers"]
        headers["user-agent"][0]["value"] = AGENT
        if reason == "roll":
            cookie = "lang=en"
        elif peer == "Stickshift":
            cookie = "sessiontoken=" + self.receipt(int(time.time()) if reason == "receipt" else self.touched)
        else:
            # The other peers read only the token.
            cookie = "sessiontoken=" + self.token
        headers["cookie"] = [{"key": "Cookie", "value": cookie}]
        return event

    def receipt(self, touched):
        signed = f"{self.token}.2.1d.{self.touched}.{touched}"
        return f"{signed}.{hmac.digest(self.key.encode(), signed.encode(), 'sha256')[:16].hex()}"


class Instance:
    """A peer in its own process.

    It reads commands as lines of JSON, `{event, times}`. For each command it writes a line of JSON,
    `{answer, walls_us, cpu_us}`.
    """

    def __init__(self, command, environment):
        begin = time.perf_counter()
        self.process = subprocess.Popen([str(part) for part in command], env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.read()
        self.init_ms = (time.perf_counter() - begin) * 1000

    def call(self, event, times=1):
        self.process.stdin.write(json.dumps({"event": event, "times": times}).encode() + b"\n")
        self.process.stdin.flush()
        return self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench/run: {self.process.args} ended with exit status {self.process.wait()}")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


class Throttle:
    """A control group with the CPU share of a 128 MB function.

    A process joins the group after its init, because the init has a whole core.
    """

    PERIOD_US = 100_000

    def __init__(self, running):
        quota = round(self.PERIOD_US * SHARE)
        self.folder, self.why_not = None, None
        try:
            if Path("/sys/fs/cgroup/cgroup.controllers").exists():
                folder = Path("/sys/fs/cgroup/stickshift-bench")
                Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+cpu")
                folder.mkdir(exist_ok=True)
                (folder / "cpu.max").write_text(f"{quota} {self.PERIOD_US}")
            else:
                folder = Path("/sys/fs/cgroup/cpu/stickshift-bench")
                folder.mkdir(exist_ok=True)
                (folder / "cpu.cfs_period_us").write_text(str(self.PERIOD_US))
                (folder / "cpu.cfs_quota_us").write_text(str(quota))
            running.callback(folder.rmdir)
            self.folder = folder
        except OSError as cause:
            self.why_not = cause

    @property
    def is_possible(self):
        return self.folder is not None

    def take(self, process):
        (self.folder / "cgroup.procs").write_text(str(process))


class Figures:
    """All figures of all rounds."""

    def __init__(self):
        self.lists = {}

    def add(self, transport, peer, found):
        for name, value in found.items():
            self.lists.setdefault((transport, peer, name), []).append(value)

    def get(self, transport, peer, name):
        return self.lists.get((transport, peer, name))

    def median(self, transport, peer, name):
        values = self.get(transport, peer, name)
        return statistics.median(values) if values else None

    def compared(self, transport, peer, other, name, by):
        """Returns the ratio or the difference of `peer`'s and `other`'s figures, round by round."""
        pairs = zip(self.get(transport, peer, name), self.get(transport, other, name))
        return [a / b if by == "ratio" else a - b for a, b in pairs]


def dynamodb(operation, body):
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0",
               "X-Amz-Date": "20240101T000000Z",
               "Authorization": "AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/dynamodb/aws4_request, "
                                "SignedHeaders=host, Signature=x"}
    urllib.request.urlopen(urllib.request.Request(f"http://{DYNAMODB}", json.dumps(body).encode(), headers)).read()


def javascript_packages():
    """Installs Node and the JavaScript peer once. The peer and its SDK are bundled in one file."""
    folder = TARGET / "bench/edge"
    folder.mkdir(parents=True, exist_ok=True)
    lock = PEERS / "edge/package-lock.json"
    installed = folder / "installed"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        for file in (lock, PEERS / "edge/package.json"):
            shutil.copy(file, folder)
        subprocess.run(["npm", "ci", "--prefix", folder], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(lock, installed)
    subprocess.run([folder / "node_modules/.bin/esbuild", PEERS / "edge/javascript.mjs", "--bundle", "--minify",
                    "--platform=node", "--target=node24", "--format=cjs", f"--outfile={folder}/javascript.cjs",
                    "--log-level=warning"],
                   check=True, env=os.environ | {"NODE_PATH": str(folder / "node_modules")})
    return folder


def start_tls(running, folder):
    """Starts a TLS server in front of the DynamoDB, with its own root certificate."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "localhost.key", "-out", "localhost.pem", "-subj", "/CN=localhost", "-days",
            "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost", "-addext",
            "basicConstraints=critical,CA:FALSE")
    system = SYSTEM_ROOTS.read_text() if SYSTEM_ROOTS.exists() else ""
    (folder / "roots.pem").write_text(system + (folder / "ca.pem").read_text())
    (folder / "stunnel.conf").write_text(
        f"foreground = yes\npid =\ndebug = err\n[dynamodb]\naccept = {TLS}\nconnect = {DYNAMODB}\n"
        f"cert = {folder}/localhost.pem\nkey = {folder}/localhost.key\n")
    wait_for_port(TLS, start(running, ["stunnel4", folder / "stunnel.conf"], stderr=subprocess.DEVNULL))


def unzip(folder, url, key):
    """Unzips the bundle and changes its configuration, so that it uses this DynamoDB."""
    subprocess.run(["unzip", "-q", BUNDLE, "-d", folder], check=True)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["keys"] = key
    for replica in config["replicas"]:
        replica["endpoint_url"] = url
    file.write_text(json.dumps(config))
    return folder


def report(figures, rounds, node, group):
    print(f"bench/run edge --rounds {rounds}\n{machine()}, Node {node}\n")
    peers = ["bare Node", "Stickshift", "JavaScript", "article"]
    show = lambda value, digits=1: "" if value is None else f"{value:,.{digits}f}"
    print("| DynamoDB by | function | init, ms | start to first answer, ms | first call at 7.24 % of a core, ms |")
    print("| --- | --- | --- | --- | --- |")
    for transport in ("TLS", "HTTP"):
        for peer in peers:
            cells = [show(figures.median(transport, peer, name)) for name in ("init ms", "cold ms", "throttled ms")]
            print(f"| {transport} | {peer} | {' | '.join(cells)} |")
    print("\n| DynamoDB by | warm call | function | p50, us | p99, us | CPU, us |\n| --- | --- | --- | --- | --- | --- |")
    for transport in ("TLS", "HTTP"):
        for reason in WARM:
            for peer in peers:
                cells = [figures.median(transport, peer, f"{reason} {name}") for name in ("p50 us", "p99 us", "cpu us")]
                if cells[0] is not None:
                    print(f"| {transport} | `{reason}` | {peer} | {' | '.join(show(cell) for cell in cells)} |")
    print("\n| by TLS, round by round | median | min to max | at most |\n| --- | --- | --- | --- |")
    tls = lambda other, name, by="ratio": figures.compared("TLS", "Stickshift", other, name, by)
    held = [
        ("cold start / article's", tls("article", "cold ms"), 0.20, 3),
        ("cold start less bare Node's, ms", tls("bare Node", "cold ms", "difference"), 15, 1),
        ("`receipt` p50, us", figures.get("TLS", "Stickshift", "receipt p50 us"), 15, 1),
        ("CPU of a `record` / article's", tls("article", "record cpu us"), 0.3, 3),
    ]
    if group.is_possible:
        held.insert(2, ("throttled first call / article's", tls("article", "throttled ms"), 0.05, 3))
    for name, values, most, digits in held:
        least, greatest = show(min(values), digits), show(max(values), digits)
        print(f"| {name} | {show(statistics.median(values), digits)} | {least} to {greatest} | {most} |")
    print(f"| zip, bytes | {BUNDLE.stat().st_size:,} | | 3,000,000 |")
    if not group.is_possible:
        print(f"\nSkipped the throttled call, because no control group can be made here: {group.why_not}")


