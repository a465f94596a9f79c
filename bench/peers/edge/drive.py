"""Runs a handler for each command. `Instance` in bench/edge.py describes the commands.

Usage: python drive.py HANDLER
"""

import importlib
import json
import sys
import time
from pathlib import Path

path = Path(sys.argv[1])
sys.path.insert(0, str(path.parent))
handler = importlib.import_module(path.stem).handler
print("{}", flush=True)
for line in sys.stdin:
    command = json.loads(line)
    events = [json.loads(json.dumps(command["event"])) for _ in range(command["times"])]
    walls = []
    cpu = time.process_time()
    for event in events:
        begin = time.perf_counter()
        answer = handler(event, None)
        walls.append((time.perf_counter() - begin) * 1e6)
    cpu = (time.process_time() - cpu) / len(events) * 1e6
    print(json.dumps({"answer": answer, "walls_us": walls, "cpu_us": cpu}), flush=True)
