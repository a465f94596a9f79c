"""Functions for all benchmarks: start and stop processes, install peers, describe the machine."""

import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PEERS = ROOT / "bench/peers"
# A browser's User-Agent header. The app and the edge read this header.
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36"
DYNAMODB = "127.0.0.1:18000"


def need(tool, package=None):
    if not shutil.which(tool):
        sys.exit(f"bench/run: {tool} is missing: install it, for example with `apt-get install {package or tool}`")


def python_with_article():
    """Returns a Python with the article's packages. They are installed once."""
    folder = TARGET / "bench/venv"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    requirements = PEERS / "article/requirements.txt"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements], check=True)
    return python


def start(running, command, **options):
    """Starts a process. When `running` closes, the process gets SIGINT."""
    process = subprocess.Popen([str(part) for part in command], **{"stdout": subprocess.DEVNULL} | options)

    def stop():
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()

    running.callback(stop)
    return process


def start_stickshift(running, folder):
    """Starts all of Stickshift on this machine, with its data in `folder`.

    The local CloudFront has port 18080. The versions have the ports after it. The DynamoDB has the
    address `DYNAMODB`.
    """
    up = start(running, [TARGET / "dist/stickshift", "--listen", "127.0.0.1:18080", "--dynamodb", DYNAMODB,
                         "--admin-listen", "127.0.0.1:18064",
                         "--dashboard", "127.0.0.1:18060", "--data-dir", folder, "--themes", ROOT / "themes"])
    wait_for_port("127.0.0.1:18081", up)
    return up


def wait_for_port(address, process):
    host, port = address.split(":")
    for _ in range(200):
        # Wait before the check. If another program uses the port, `process` has time to end with an
        # error. Without the wait, the other program might answer first.
        time.sleep(0.1)
        if process.poll() is not None:
            sys.exit(f"bench/run: {process.args[0]} ended with exit status {process.returncode}; is its port in use?")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return
    sys.exit(f"bench/run: no program listens at {address}")


def print_rates(what, results):
    """Prints the rate and the CPU time of each peer. `results` has a pair of both for each round."""
    print(f"| {what} | requests/s, median | min to max | CPU us per request, median |\n| --- | --- | --- | --- |")
    for name, values in results.items():
        rates = [rate for rate, _ in values]
        cpu = statistics.median(cpu for _, cpu in values)
        print(f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} | {cpu:,.1f} |")


def print_ratios(results, at_least):
    """Prints the ratio of the rates of two peers, for each name such as `one / other` in `at_least`."""
    print("\n| ratio, round by round | median | min to max | at least |\n| --- | --- | --- | --- |")
    for name, least in at_least.items():
        one, other = name.split(" / ")
        ratios = [a / b for (a, _), (b, _) in zip(results[one], results[other])]
        print(f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {least} |")


def version(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True).stdout.strip()


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (f"{os.cpu_count()} x {model[1] if model else platform.machine()}, {platform.system()} {platform.release()}, "
            f"{version('rustc', '--version')}, Python {platform.python_version()}")
