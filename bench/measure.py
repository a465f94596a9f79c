"""What every benchmark needs: processes that end with it, installed peers, the machine in a line."""

import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PEERS = ROOT / "bench/peers"
# What a browser sends; app and edge read it.
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36"
DYNAMODB = "127.0.0.1:18000"


def need(tool, package=None):
    if not shutil.which(tool):
        sys.exit(f"bench/run: {tool} is missing: install it, e.g. with `apt-get install {package or tool}`")


def python_with_article():
    """Python with the article's packages, installed once."""
    folder = TARGET / "bench/venv"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    requirements = PEERS / "article/requirements.txt"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements], check=True)
    return python


def start(running, command, **options):
    """Starts a process that is interrupted when `running` closes."""
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
    """All of it on this machine, with its data in `folder`: CloudFront at 18080, the versions after it, `DYNAMODB`."""
    up = start(running, [TARGET / "release/stickshift", "--listen", "127.0.0.1:18080", "--dynamodb", DYNAMODB,
                         "--data-dir", folder, "--themes", ROOT / "themes"])
    wait_for_port("127.0.0.1:18081", up)


def wait_for_port(address, process):
    host, port = address.split(":")
    for _ in range(200):
        # First, so that one whose port was taken has time to say so before somebody else answers there.
        time.sleep(0.1)
        if process.poll() is not None:
            sys.exit(f"bench/run: {process.args[0]} ended with {process.returncode}; is its port taken?")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return
    sys.exit(f"bench/run: nobody listens at {address}")


def version(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True).stdout.strip()


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (f"{os.cpu_count()} x {model[1] if model else platform.machine()}, {platform.system()} {platform.release()}, "
            f"{version('rustc', '--version')}, Python {platform.python_version()}")
