"""Speaks to the control plane itself: counts, and a heartbeat every two minutes."""

import os
import platform
import random
import re
import threading
import time
import weakref
from datetime import datetime, timezone
from typing import Any, Dict, Optional

from . import _events
from ._commands import Commands
from ._post import base, post
from ._quiet import quiet
from ._rolling import Rolling

_HEARTBEAT_S = 120.0
_HOUR_S = 3600.0
# How long a second caller waits for a heartbeat under way, in seconds.
_TURN_S = 30.0
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_random = random.SystemRandom()


class AgentlessMode:
    """Counters, and a thread that sends them."""

    # Nothing is queued here, so nothing is dropped.
    dropped = 0

    def __init__(self, options: Dict[str, Any]) -> None:
        self._options = options
        self._base = base(options["api_base"])
        self._env = {"python": platform.python_version(), **_events.env(options.get("env"))}
        self._commands = Commands(
            options.get("commands"), lambda order, verb, body: self._post(f"commands/{order}/{verb}", body)
        )
        self._begin()
        if hasattr(os, "register_at_fork"):
            # A child has no threads, and its parent says what was counted before.
            itself = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _restart(itself()))

    @staticmethod
    def complaint(options: Dict[str, Any]) -> Optional[str]:
        """What is wrong with the options; never the secret."""
        for name in ("merchant_id", "plugin_id"):
            if not _UUID.fullmatch(str(options.get(name))):
                return f"{name} is not a UUID"
        secret = options.get("plugin_secret")
        if not isinstance(secret, str) or not re.fullmatch(r"[\x21-\x7e]{1,200}", secret):
            return "plugin_secret is missing or has spaces in it"
        if _events.version(options.get("plugin_version")) is None:
            return "plugin_version is missing or no version"
        if base(options.get("api_base")) is None:
            return "api_base is not an https:// address (http:// to this machine only)"
        return None

    def take(self, event: Optional[_events.Event]) -> None:
        """Counts an event; what a heartbeat has no field for is left out."""
        if event is None:
            return
        now, kind = time.monotonic(), event["type"]
        if kind == "error" or (kind == "request" and not event["ok"]):
            self._errors.add(now, 1)
        if kind == "webhook":
            self._webhooks.add(now, 1)
            self._failed.add(now, 0 if event["ok"] else 1)

    def send_heartbeat(self) -> bool:
        """Sends a heartbeat and carries out what the answer orders. Whether it was taken. It waits for the network."""
        if not self._turn.acquire(timeout=_TURN_S):
            return False
        try:
            answer = self._post("heartbeat", self._heartbeat())
            wanted = (answer.get("tuning") or {}).get("heartbeat_interval_s")
            if isinstance(wanted, (int, float)):
                self._interval = min(max(float(wanted), 1.0), 3600.0)
            self._commands.process(answer.get("commands"))
            return True
        finally:
            self._turn.release()

    def process_commands(self, commands: Any) -> None:
        self._commands.process(commands)

    def close(self) -> None:
        self._closed.set()

    def _begin(self) -> None:
        self._errors = Rolling(24, _HOUR_S)
        self._webhooks = Rolling(12, _HOUR_S / 12)
        self._failed = Rolling(12, _HOUR_S / 12)
        self._started = time.monotonic()
        self._interval = _HEARTBEAT_S
        self._turn = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._beat, name="plugmend-heartbeat", daemon=True).start()

    def _beat(self) -> None:
        closed = self._closed
        while not closed.is_set():
            quiet(False)(self.send_heartbeat)()
            # A fleet that was started by one deployment does not come back in one second.
            closed.wait(self._interval * _random.uniform(0.9, 1.1))

    def _heartbeat(self) -> Dict[str, Any]:
        now = time.monotonic()
        tried = self._webhooks.sum(now)
        beat = {
            "plugin_id": self._options["plugin_id"],
            "merchant_id": self._options["merchant_id"],
            "plugin_version": self._options["plugin_version"],
            "env": self._env,
            "errors_last_24h": self._errors.sum(now),
            "uptime": int(now - self._started),
            "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "capabilities": self._commands.capabilities,
        }
        # Without deliveries there is no rate; 0 would say that all went well.
        if tried > 0:
            beat["webhook_fail_rate"] = self._failed.sum(now) / tried
        return beat

    def _post(self, path: str, body: Dict[str, Any]) -> Any:
        headers = {
            "Authorization": f"Bearer {self._options['plugin_secret']}",
            "X-Plugin-Version": self._options["plugin_version"],
        }
        return post(f"{self._base}/api/plugins/{path}", headers, body)


@quiet()
def _restart(mode: Optional[AgentlessMode]) -> None:
    if mode is not None and not mode._closed.is_set():
        mode._begin()
