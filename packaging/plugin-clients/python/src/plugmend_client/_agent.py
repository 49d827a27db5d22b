"""Speaks to the agent on this machine. The agent sends the heartbeats and carries out the orders."""

import platform
import threading
import time
from typing import Any, Dict, Optional

from . import _events, _notation
from ._sockets import Sockets, loopback
from ._spool import Spool

# Said again from time to time, for an agent that was started after the plugin, in seconds.
_HELLO_EVERY_S = 120.0
# The words of one error in so many seconds travel; the others are counted. Each is a connection of its own.
_WORDS_EVERY_S = 0.1


class AgentMode:
    """Says each event once, by the first way that takes it: a datagram, else the spool."""

    def __init__(self, options: Dict[str, Any]) -> None:
        self.dropped = 0
        self._version = _events.version(options.get("plugin_version"))
        self._env = {"python": platform.python_version(), **_events.env(options.get("env"))}
        self._sockets = Sockets(options.get("socket"), loopback(options.get("udp")))
        self._spool = Spool(options["spool_dir"]) if options.get("spool_dir") else None
        self._next_hello = float("-inf")
        self._next_words = float("-inf")
        # Held for moments only, and only ever tried for: no thread waits for another.
        self._turn = threading.Lock()
        self._greet(time.monotonic())

    @staticmethod
    def complaint(options: Dict[str, Any]) -> Optional[str]:
        """What is wrong with the options."""
        for name in ("socket", "spool_dir"):
            value = options.get(name)
            if value is not None and not (isinstance(value, str) and value.startswith("/")):
                return f"{name} is not an absolute path"
        if options.get("udp") is not None and loopback(options["udp"]) is None:
            return "udp is not an address on loopback such as 127.0.0.1:8125"
        return None

    def take(self, event: Optional[_events.Event]) -> None:
        """Hands an event over; `None` is one that was not in order."""
        now = time.monotonic()
        if now >= self._next_hello:
            self._greet(now)
        if event is None or not self._hand_over(event, now):
            self.dropped += 1

    def send_heartbeat(self) -> bool:
        """A hello, now. Whether it was taken."""
        return self._hand_over(_events.hello(self._env), time.monotonic())

    def process_commands(self, commands: Any) -> None:
        """The agent does."""

    def close(self) -> None:
        """Nothing is kept here."""

    def _greet(self, now: float) -> None:
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._next_hello = now + _HELLO_EVERY_S
            if not self._hand_over(_events.hello(self._env), now):
                self.dropped += 1
            if self._spool is not None:
                self._spool.hand_over()
        finally:
            self._turn.release()

    def _hand_over(self, event: _events.Event, now: float) -> bool:
        if self._has_words(event, now) and self._sockets.send_stream(_notation.json(event, self._version, False)):
            return True
        lines = _notation.statsd(event, self._version)
        if lines and self._sockets.send_datagram(lines):
            return True
        return self._spool is not None and self._spool.append(_notation.json(event, self._version, True))

    def _has_words(self, event: _events.Event, now: float) -> bool:
        if event["type"] == "hello":
            return True
        if "message" not in event or now < self._next_words:
            return False
        self._next_words = now + _WORDS_EVERY_S
        return True
