"""Compares the app's pages with a bare route and with the article's app."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from measure import (AGENT, DYNAMODB, PEERS, ROOT, TARGET, machine, need, print_rates, print_ratios,
                     python_with_article, start, start_stickshift, wait_for_port)

CONNECTIONS = 32
# The minimum for each ratio, from the design.
AT_LEAST = {"returning / bare": 0.95, "returning / article": 100, "new / article": 9}
# The app's headers, except those that every peer sends.
COMMON_HEADERS = {"content-length", "content-type", "date", "set-cookie"}


def run(rounds, seconds):
    need("wrk")
    subprocess.run(
        ["cargo", "build", "--profile", "dist", "-p", "stickshift", "-p", "stickshift-bench-bare"], cwd=ROOT, check=True
    )
    python = python_with_article()

    with contextlib.ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory())
        up = start_stickshift(running, folder)
        app = "http://127.0.0.1:18081/"
        _, _, cookie = view(app, None)
        page, headers, _ = view(app, cookie)
        body = Path(folder, "page.html")
        body.write_bytes(page)
        # Two bare routes with the same body: one with the app's headers, and one without.
        bare_route = [TARGET / "dist/stickshift-bench-bare"]
        same_headers = [f"{name}={value}" for name, value in headers.items() if name.lower() not in COMMON_HEADERS]
        bare = start(running, [*bare_route, "127.0.0.1:18090", body, *same_headers])
        no_headers = start(running, [*bare_route, "127.0.0.1:18092", body])
        aws = {"AWS_ENDPOINT_URL_DYNAMODB": f"http://{DYNAMODB}", "AWS_ACCESS_KEY_ID": "x",
               "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
        article = start(running, [python, "-m", "uvicorn", "index:app", "--port", "18091", "--log-level", "warning"],
                        cwd=PEERS / "article", env=os.environ | aws)
        for port, process in {18090: bare, 18092: no_headers, 18091: article}.items():
            wait_for_port(f"127.0.0.1:{port}", process)

        # Each page: its process, its URL, and whether the viewer has a session.
        pages = {
            "bare": (bare, "http://127.0.0.1:18090/", True),
            "bare without headers": (no_headers, "http://127.0.0.1:18092/", True),
            "returning": (up, app, True),
            "new": (up, app, False),
            "article": (article, "http://127.0.0.1:18091/", False),
        }
        results = {name: [] for name in pages}
        for number in range(-1, rounds):
            # Each round gets a new cookie, so that the receipt stays younger than touch_interval.
            _, _, cookie = view(app, None)
            for name, (process, url, is_returning) in pages.items():
                result = load(process, url, cookie if is_returning else None, seconds)
                # Round -1 is a warm-up: its results do not count.
                if number >= 0:
                    results[name].append(result)
            if number >= 0:
                rates = ", ".join(f"{name} {values[-1][0]:,.0f}/s" for name, values in results.items())
                print(f"round {number + 1}: {rates}", file=sys.stderr)
    report(results, rounds, seconds)


def view(url, cookie):
    """Returns the page, its headers, and the session cookie: the response's or, without one, the request's."""
    headers = {"User-Agent": AGENT} | ({"Cookie": cookie} if cookie else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        issued = response.headers.get("Set-Cookie")
        return response.read(), response.headers, issued.split(";")[0] if issued else cookie


def load(process, url, cookie, seconds):
    """Returns the requests per second and the CPU microseconds per request of the process. Ends the
    benchmark if a request fails."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"User-Agent: {AGENT}"]
    command += ["-H", f"Cookie: {cookie}"] if cookie else []
    before = cpu_seconds(process)
    output = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    cpu = cpu_seconds(process) - before
    failed = re.search(r"(Non-2xx|Socket errors).*", output)
    if failed:
        sys.exit(f"bench/run: {url}: {failed[0]}")
    requests = int(re.search(r"(\d+) requests in", output)[1])
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), cpu * 1e6 / requests


def cpu_seconds(process):
    """The CPU time of a process and all its threads so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(results, rounds, seconds):
    print(f"bench/run app --rounds {rounds} --seconds {seconds}, {CONNECTIONS} connections, "
          f"load generator on the same machine\n{machine()}\n")
    print_rates("page", results)
    names = ["returning / bare", "returning / bare without headers", "returning / article", "new / article"]
    print_ratios(results, {name: AT_LEAST.get(name, "") for name in names})
