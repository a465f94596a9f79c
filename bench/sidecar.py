"""Compares the sidecar and the local edge with HAProxy, in front of the same web server."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from app import load, view
from measure import DYNAMODB, ROOT, TARGET, machine, need, print_rates, print_ratios, start, version, wait_for_port

# The minimum for each ratio, from the design.
AT_LEAST = {"sidecar / HAProxy": 0.8, "edge / HAProxy": 0.8}
KEY = "0123456789abcdef0123456789abcdef"
SERVERS = {"1": 19001, "2": 19002}
IDLE_CONNECTIONS = 1000

NGINX = """
master_process off; pid {folder}/nginx.pid; daemon off; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:19001 backlog=4096; listen 127.0.0.1:19002 backlog=4096; root {folder}/www; }}
}}
"""
HAPROXY = """
global
  nbthread {threads}
  maxconn 9000
defaults
  mode http
  timeout connect 10s
  timeout client 75s
  timeout server 25s
  http-reuse always
frontend viewers
  bind 127.0.0.1:18095
  default_backend versions
backend versions
  cookie SERVERID insert indirect nocache
  option forwardfor
  server 1 127.0.0.1:19001 cookie 1 weight 90
  server 2 127.0.0.1:19002 cookie 2 weight 10
"""


def run(rounds, seconds):
    for tool, package in {"wrk": "wrk", "haproxy": "haproxy", "nginx": "nginx-light"}.items():
        need(tool, package)
    subprocess.run(["cargo", "build", "--profile", "dist", "-p", "stickshift"], cwd=ROOT, check=True)
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        (folder / "www").mkdir()
        (folder / "www/index.html").write_text("<!DOCTYPE html><title>A page</title>" + "<p>Text.</p>" * 160)
        folder.chmod(0o755)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
        (folder / "haproxy.cfg").write_text(HAPROXY.format(threads=os.cpu_count()))
        nginx = start(running, ["nginx", "-c", folder / "nginx.conf"])
        wait_for_port("127.0.0.1:19001", nginx)
        haproxy = start(running, ["haproxy", "-f", folder / "haproxy.cfg"])
        wait_for_port("127.0.0.1:18095", haproxy)
        environment = os.environ | {"STICKSHIFT_KEYS": KEY}
        binary = TARGET / "dist/stickshift"
        up = start(running, [binary, "up", "--listen", "127.0.0.1:18080", "--dynamodb", DYNAMODB, "--admin-listen",
                             "127.0.0.1:18064", "--dashboard", "127.0.0.1:18060", "--data-dir", folder / "data",
                             *(f"--app={code}=http://127.0.0.1:{port}" for code, port in SERVERS.items())],
                   env=environment)
        wait_for_port("127.0.0.1:18082", up)
        # The edge alone, in front of the web server itself. It has a table of plans of its own.
        edge = start(running, [binary, "edge", "--listen", "127.0.0.1:18070", "--dynamodb", f"http://{DYNAMODB}",
                               *(f"--origin={code}=localhost:{port}" for code, port in SERVERS.items())],
                     env=environment | {"STICKSHIFT_ROLLOUT_TABLE": "EdgeRolloutTable"})
        wait_for_port("127.0.0.1:18070", edge)

        sidecar = "http://127.0.0.1:18081/"
        peers = {
            "nginx alone": (nginx, "http://127.0.0.1:19001/"),
            "HAProxy": (haproxy, "http://127.0.0.1:18095/"),
            "sidecar": (up, sidecar),
            "edge": (edge, "http://127.0.0.1:18070/"),
        }
        results = {name: [] for name in peers}
        for number in range(-1, rounds):
            # Each round gets a new cookie, so that the receipt stays younger than touch_interval.
            _, _, cookie = view(sidecar, None)
            for name, (process, url) in peers.items():
                result = load(process, url, "SERVERID=1" if name == "HAProxy" else cookie, seconds)
                # Round -1 is a warm-up: its results do not count.
                if number >= 0:
                    results[name].append(result)
            if number >= 0:
                rates = ", ".join(f"{name} {values[-1][0]:,.0f}/s" for name, values in results.items())
                print(f"round {number + 1}: {rates}", file=sys.stderr)
        memory = {name: idle_memory(*peers[name]) for name in ("HAProxy", "sidecar")}
    report(results, memory, rounds, seconds)


def idle_memory(process, url):
    """Returns the bytes of memory that a process takes more for each idle connection."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    before = resident_bytes(process)
    sockets = []
    for _ in range(IDLE_CONNECTIONS):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(b"GET /nothing.png HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        sockets.append(connection)
    after = resident_bytes(process)
    for connection in sockets:
        connection.close()
    return (after - before) / IDLE_CONNECTIONS


def resident_bytes(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def report(results, memory, rounds, seconds):
    haproxy = version("haproxy", "-v").split()[2]
    print(f"bench/run sidecar --rounds {rounds} --seconds {seconds}, load generator on the same machine\n"
          f"{machine()}, HAProxy {haproxy}\n")
    print_rates("peer", results)
    print_ratios(results, AT_LEAST)
    print("\n| memory of an idle connection | bytes |\n| --- | --- |")
    for name, size in memory.items():
        print(f"| {name} | {size:,.0f} |")
