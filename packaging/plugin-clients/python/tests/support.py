"""What the tests share: the real agent of the stage that tests/setup/client-stage has set up, and servers of their own."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STAGE = os.environ.get("PLUGMEND_CLIENT_STAGE", "")
PATIENCE_S = 30

needs_stage = unittest.skipUnless(STAGE, "PLUGMEND_CLIENT_STAGE is not set: run make test-clients")


def until(what, look):
    """Waits for a value, with a bound."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.025)


def folder(test):
    """An empty folder, removed after the test."""
    made = tempfile.mkdtemp(prefix="plugmend-python-")
    test.addCleanup(shutil.rmtree, made, ignore_errors=True)
    return made


def spooled(directory):
    """Everything that lies in a spool, as events; without the client's own hello."""
    files = sorted(Path(directory).glob("plugmend-*"))
    events = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [event for event in events if event["type"] != "hello"]


class Agent:
    """A real agent."""

    def __init__(self, test):
        self.home = Path(STAGE, "python")
        self.socket = str(self.home / "agent.sock")
        self.spool = str(self.home / "spool")
        self._command = [str(Path(STAGE, "agent")), "--config", str(self.home / "agent.toml")]
        self._process = None
        test.addCleanup(self.stop)

    @property
    def udp(self):
        return (self.home / "udp").read_text().strip()

    def start(self):
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen([*self._command, "run"], stdin=nowhere, stdout=nowhere, stderr=nowhere)
        until("the agent to run", lambda: self.status().get("running"))
        return self

    def status(self):
        ended = subprocess.run([*self._command, "--json", "status"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(ended.stdout or "{}")

    def heard(self, what, wanted):
        """What it has heard, as soon as that is as wanted."""

        def look():
            telemetry = self.status().get("telemetry")
            return telemetry if telemetry and wanted(telemetry) else None

        return until(what, look)

    def signal(self, number):
        self._process.send_signal(number)

    def stop(self):
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None


def api():
    return Path(STAGE, "api").read_text().strip()


def ops(method, path, body=None):
    """Calls the real control plane's API as ops."""
    request = urllib.request.Request(api() + path, None if body is None else json.dumps(body).encode(), method=method)
    request.add_header("Authorization", "Bearer " + Path(STAGE, "ops-token").read_text().strip())
    request.add_header("Content-Type", "application/json")
    request.add_header("Idempotency-Key", str(uuid.uuid4()))
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return json.load(response)


def database(sql):
    """What the control plane has, by psql."""
    url = Path(STAGE, "database").read_text().strip()
    return subprocess.run(["psql", "-qAt", url, "-c", sql], stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def server(test, answer):
    """An HTTP server on loopback that answers as `answer(path)` says; its address, and what came."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
            status, headers, text = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(text)
            except OSError:
                pass

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    test.addCleanup(http.server_close)
    test.addCleanup(http.shutdown)
    return f"http://127.0.0.1:{http.server_port}", requests
