"""What one request of a shop pays for saying how it went, and a webhook. Needs no agent: receivers are made here.

    PYTHONPATH=src python3 bench/emission.py [ROUNDS]
"""

import contextlib
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from plugmend_client import Client

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000


def percentiles(times):
    times.sort()
    return "".join(f"{times[int(share * (len(times) - 1))] / 1000:9.1f}" for share in (0.5, 0.99, 0.999, 1))


def measure(name, between=lambda: None, **options):
    client = Client(plugin_version="1.2.3", **options)
    wall, used = [], []
    for _ in range(ROUNDS):
        before, began = time.thread_time_ns(), time.perf_counter_ns()
        client.request(True, 12.5)
        client.webhook(True)
        wall.append(time.perf_counter_ns() - began)
        used.append(time.thread_time_ns() - before)
        between()
    print(f"{name:32}{percentiles(wall)}  |{percentiles(used)}")


folder = tempfile.mkdtemp(prefix="plugmend-bench-")
path, spool = folder + "/agent.sock", Path(folder, "spool")
spool.mkdir()


def empty_the_spool():
    for file in spool.iterdir():
        if file.stat().st_size > 200_000:
            file.unlink()


print(f"{f'one request (µs), {ROUNDS} rounds':32}" + 2 * "      p50      p99    p99.9  slowest  |" + " of processor time")
measure("nobody")
measure("agent gone, no spool", socket=path)
measure("agent gone, spool", empty_the_spool, socket=path, spool_dir=str(spool))
measure("agent gone, spool full", socket=path, spool_dir=str(spool))
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(path + ".dgram")
receiver.setblocking(False)


def read():
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(9000)


measure("agent reads", read, socket=path, spool_dir=str(spool))
measure("agent does not read, spool", empty_the_spool, socket=path, spool_dir=str(spool))
measure("UDP, nobody there", udp="127.0.0.1:9")
shutil.rmtree(folder)
