"""Measures the dashboard: its memory with many pages open, how soon a pulse is on a page, and what it reads."""

import collections
import contextlib
import http.client
import http.server
import json
import math
import os
import re
import statistics
import tempfile
import threading
import time
from pathlib import Path

from measure import DYNAMODB, TARGET, machine, start, start_stickshift, wait_for_port

DASHBOARD = "127.0.0.1:18090"
# Dollars for a million read units on demand in us-east-1, as docs/aws-costs.md has it.
DOLLARS = 0.125
MONTH_MINUTES = 30 * 24 * 60


def run(pages, minutes):
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        # With a pulse a second, every look of the pages finds something new. An hour has 360 pulses of each instance.
        os.environ["STICKSHIFT_PULSE_SECONDS"] = "1"
        start_stickshift(running, folder)
        reads = Reads(running)
        access = {"AWS_ENDPOINT_URL_DYNAMODB": reads.url, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
                  "AWS_REGION": "us-east-1"}
        dashboard = start(running, [TARGET / "dist/stickshift", "dashboard", "--listen", DASHBOARD],
                          env=os.environ | access)
        wait_for_port(DASHBOARD, dashboard)
        print(f"bench/run dashboard --pages {pages} --minutes {minutes}\n{machine()}\n")
        time.sleep(5)
        print("| pages | table reads a minute | read units a minute, at most | dollars a month, at most |")
        print("| --- | --- | --- | --- |")
        reads.show("none", 3)
        open_pages = [Page(running)]
        reads.show("1", 1)
        delays = [delay for number in range(20) if (delay := pulse_to_page(open_pages[0], number)) is not None]
        before = memory(dashboard)
        open_pages += [Page(running) for _ in range(1, pages)]
        reads.show(str(pages), 1)
        with_pages = memory(dashboard)
        events = open_pages[0].events
        time.sleep(60 * minutes)
        heard = [page.events for page in open_pages]
        print(f"\nfrom a pulse to a page: median {statistics.median(delays):.2f} s, at most {max(delays):.2f} s")
        print(f"memory: {before} MiB with one page, {with_pages} MiB with {pages}, {memory(dashboard)} MiB after "
              f"{open_pages[0].events - events} more events for each of them (at least {min(heard)} of {max(heard)})")


class Reads:
    """Stands between the dashboard and its DynamoDB, and counts what is read."""

    def __init__(self, running):
        self.counts, self.units = collections.Counter(), 0
        reads = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                there = http.client.HTTPConnection(DYNAMODB)
                there.request("POST", "/", body, {name: value for name, value in self.headers.items()})
                answer = there.getresponse()
                text = answer.read()
                reads.note(self.headers["x-amz-target"].split(".")[-1], text)
                self.send_response(answer.status)
                for name in ("content-type", "x-amzn-requestid", "x-amz-crc32"):
                    if value := answer.getheader(name):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.callback(server.shutdown)

    def note(self, operation, text):
        if operation in ("GetItem", "Query"):
            # JSON is longer than the item, so this is more than AWS would count.
            self.units += math.ceil(len(text) / 4096)
        elif operation == "Scan":
            self.units += json.loads(text).get("ConsumedCapacity", {}).get("CapacityUnits", 0)
        else:
            return
        self.counts[operation] += 1

    def show(self, pages, minutes):
        calls, units = self.counts.total(), self.units
        time.sleep(60 * minutes)
        calls, units = (self.counts.total() - calls) / minutes, (self.units - units) / minutes
        print(f"| {pages} | {calls:.0f} | {units:.0f} | {units * MONTH_MINUTES * DOLLARS / 1e6:.2f} |", flush=True)


class Page:
    """An open page: it hears every event."""

    def __init__(self, running):
        self.events, self.texts, self.is_over = 0, collections.deque(maxlen=50), False
        connection = http.client.HTTPConnection(DASHBOARD, timeout=60)
        connection.request("GET", "/events?range=24h")
        self.stream = connection.getresponse()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(Exception):
            while line := self.stream.readline():
                if line.startswith(b"data: {"):
                    self.events += 1
                    self.texts.append(line)


def pulse_to_page(page, number):
    """Writes a pulse of an instance that nobody else has, and waits until a page has its open connections."""
    connections = 7_000_000 + number
    now = int(time.time())
    item = {"pk": {"S": "pulse#1"}, "sk": {"S": "bench"}, "format": {"N": "1"}, "instance": {"S": "bench"},
            "sequence": {"N": str(number + 1)}, "started_at": {"N": str(now - 60)}, "written_at": {"N": str(now)},
            "interval_seconds": {"N": "1"}, "lifetime_seconds": {"N": "720"}, "clock_allowance_seconds": {"N": "60"},
            "formats": {"S": "receipt=1, plan=1"}, "open_connections": {"N": str(connections)}}
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.PutItem",
               "authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, "
                                "SignedHeaders=host, Signature=0"}
    connection = http.client.HTTPConnection(DYNAMODB)
    connection.request("POST", "/", json.dumps({"TableName": "RolloutTable", "Item": item}), headers)
    assert connection.getresponse().status == 200
    begin = time.monotonic()
    while time.monotonic() - begin < 10:
        if any(str(connections).encode() in text for text in list(page.texts)):
            # Pulses come at any moment between two looks.
            time.sleep(0.1 * (number % 17))
            return time.monotonic() - begin - 0.1 * (number % 17)
        time.sleep(0.01)
    return None


def memory(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024
