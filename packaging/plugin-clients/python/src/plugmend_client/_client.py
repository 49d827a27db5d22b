"""The client that plugins hold."""

import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional

from . import _events
from ._agent import AgentMode
from ._agentless import AgentlessMode
from ._quiet import quiet


class _Nobody:
    """Spoken to where there is nobody: everything is taken and nothing happens."""

    dropped = 0

    def take(self, event: Any) -> None:
        pass

    def send_heartbeat(self) -> bool:
        return False

    def process_commands(self, commands: Any) -> None:
        pass

    def close(self) -> None:
        pass


class Client:
    """Says how a plugin is doing. No method raises, whatever it is given, and none but `send_heartbeat` waits."""

    def __init__(self, **options: Any) -> None:
        """For a host with an agent: `socket` or `udp` (the agent's `telemetry.socket`, `telemetry.udp`), `spool_dir` for
        while it is down. For one without: `merchant_id`, `plugin_id`, `plugin_secret`, `api_base`, and `commands`, the
        handlers of orders by their kind. For both: `plugin_version` of the running code, and `env`, versions of what
        it runs on.
        """
        self._mode: Any = _Nobody()
        #: Whom it speaks to: `agent`, `agentless`, or `off`, when `problem` says why.
        self.mode: str = "off"
        #: What is wrong with the options, in words for a log; never the secret.
        self.problem: Optional[str] = "the options can not be read"
        self._open(options)

    @quiet()
    def _open(self, options: Dict[str, Any]) -> None:
        with_agent = any(options.get(name) is not None for name in ("socket", "udp", "spool_dir"))
        mode = AgentMode if with_agent else AgentlessMode  # type: Any
        self.problem = mode.complaint(options)
        if self.problem is None:
            self.problem = "the client could not be started"
            self._mode = mode(options)
            self.problem = None
            self.mode = "agent" if with_agent else "agentless"

    @property
    def dropped(self) -> int:
        """Events that were given up: nobody took them, or they were not in order."""
        return int(self._mode.dropped)

    @quiet()
    def request(self, ok: bool = True, ms: Optional[float] = None) -> None:
        """A request was served; `ok` false when it failed (and then it counts as an error too); `ms` it took."""
        self._mode.take(_events.request(ok, ms))

    @contextmanager
    def observe(self) -> Iterator[None]:
        """Says `request` for what happens within: failed when it raises."""
        began, ok = time.monotonic(), False
        try:
            yield
            ok = True
        finally:
            self.request(ok, (time.monotonic() - began) * 1000)

    @quiet()
    def error(self, message: Any = None) -> None:
        """An error outside of a request, or one that a request survived; words or an exception."""
        self._mode.take(_events.error(message))

    @quiet()
    def webhook(self, ok: bool = True) -> None:
        """A webhook delivery, and how it went."""
        self._mode.take(_events.webhook(ok))

    @quiet()
    def payment(self, ok: bool = True) -> None:
        """A payment, and how it went: the counters `payments` and `payments.failed`."""
        self._mode.take(_events.counter("payments", 1))
        if ok is False:
            self._mode.take(_events.counter("payments.failed", 1))

    @quiet()
    def count(self, name: str, by: float = 1) -> None:
        """A counter of the plugin's own: letters, digits, `_ . -`; at most 63 names."""
        self._mode.take(_events.counter(name, by))

    @quiet()
    def gauge(self, name: str, value: float) -> None:
        """A gauge of the plugin's own."""
        self._mode.take(_events.gauge(name, value))

    @quiet()
    def log_error(self, kind: Any, data: Any = None) -> None:
        """The reference client's name for `error`."""
        self._mode.take(_events.error(_events.words(kind, data)))

    @quiet()
    def track_webhook_call(self, success: Any) -> None:
        """The reference client's name for `webhook`."""
        self._mode.take(_events.webhook(bool(success)))

    @quiet(False)
    def send_heartbeat(self) -> bool:
        """Sends a heartbeat now (to an agent: a hello) and carries out what the answer orders. Whether it was taken.

        Without an agent it waits for the network; a thread calls it every two minutes.
        """
        return bool(self._mode.send_heartbeat())

    @quiet()
    def process_commands(self, commands: Any) -> None:
        """Carries orders out; called by itself for those in a heartbeat's answer. With an agent it does nothing."""
        self._mode.process_commands(commands)

    @quiet()
    def close(self) -> None:
        """Falls silent."""
        mode, self._mode, self.mode = self._mode, _Nobody(), "off"
        self.problem = "closed"
        mode.close()
