"""Compares the app's pages with a bare route and with the article's app."""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from measure import (AGENT, DYNAMODB, PEERS, ROOT, TARGET, machine, need, python_with_article, start, start_stickshift,
                     wait_for_port)

CONNECTIONS = 32
# The minimum for each ratio, from the design.
AT_LEAST = {"returning / bare": 0.85, "returning / article": 60, "new / article": 8}


def run(rounds, seconds):
    need("wrk")
    subprocess.run(
        ["cargo", "build", "--release", "-p", "stickshift", "-p", "stickshift-bench-bare"], cwd=ROOT, check=True
    )
    python = python_with_article()

    with contextlib.ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory())
        start_stickshift(running, folder)
        app = "http://127.0.0.1:18081/"
        page, cookie = view(app, None)
        page, _ = view(app, cookie)
        body = Path(folder, "page.html")
        body.write_bytes(page)
        bare = "http://127.0.0.1:18090/"
        bare_route = start(running, [TARGET / "release/stickshift-bench-bare", "127.0.0.1:18090", body])
        wait_for_port("127.0.0.1:18090", bare_route)
        article = "http://127.0.0.1:18091/"
        aws = {"AWS_ENDPOINT_URL_DYNAMODB": f"http://{DYNAMODB}", "AWS_ACCESS_KEY_ID": "x",
               "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
        uvicorn = start(running, [python, "-m", "uvicorn", "index:app", "--port", "18091", "--log-level", "warning"],
                        cwd=PEERS / "article", env=os.environ | aws)
        wait_for_port("127.0.0.1:18091", uvicorn)

        rates = {"bare": [], "returning": [], "new": [], "article": []}
        for number in range(-1, rounds):
            # Each round gets a new cookie, so that the receipt stays younger than touch_interval.
            _, cookie = view(app, None)
            results = {
                "bare": load(bare, cookie, seconds),
                "returning": load(app, cookie, seconds),
                "new": load(app, None, seconds),
                "article": load(article, None, seconds),
            }
            # Round -1 is a warm-up: its results do not count.
            if number >= 0:
                for name, rate in results.items():
                    rates[name].append(rate)
                print(f"round {number + 1}: " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in results.items()),
                      file=sys.stderr)
    report(rates, rounds, seconds)


def view(url, cookie):
    """Returns the page and the session cookie: the response's or, without one, the request's."""
    headers = {"User-Agent": AGENT} | ({"Cookie": cookie} if cookie else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        issued = response.headers.get("Set-Cookie")
        return response.read(), issued.split(";")[0] if issued else cookie


def load(url, cookie, seconds):
    """Returns the requests per second. Ends the benchmark if a request fails."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"User-Agent: {AGENT}"]
    command += ["-H", f"Cookie: {cookie}"] if cookie else []
    output = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    failed = re.search(r"(Non-2xx|Socket errors).*", output)
    if failed:
        sys.exit(f"bench/run: {url}: {failed[0]}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])


def report(rates, rounds, seconds):
    print(f"bench/run app --rounds {rounds} --seconds {seconds}, {CONNECTIONS} connections, "
          f"load generator on the same machine\n{machine()}\n")
    print("| page | requests/s, median | min to max |\n| --- | --- | --- |")
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f} |")
    print("\n| ratio, round by round | median | min to max | at least |\n| --- | --- | --- | --- |")
    for name, least in AT_LEAST.items():
        one, other = name.split(" / ")
        ratios = [a / b for a, b in zip(rates[one], rates[other])]
        print(f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {least} |")
