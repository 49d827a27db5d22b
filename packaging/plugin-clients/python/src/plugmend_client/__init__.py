"""Says how a shop's plugin is doing: to the plugmend agent beside it, or straight to the control plane.

The functions of this module speak through the client that `init` has made; before, they do nothing.
"""

import json
import os
import re
from typing import Any, ContextManager, Dict

from ._client import Client
from ._quiet import quiet

__all__ = [
    "Client", "init", "request", "observe", "error", "webhook", "payment", "count", "gauge", "log_error",
    "track_webhook_call", "send_heartbeat", "process_commands", "close",
]

_current = Client()


def init(**options: Any) -> Client:
    """Makes the client that this module speaks through. See `Client` for the options.

    What is not given is read from the environment: `MOLAM_PLUGIN_CONFIG` (the options as JSON, in the reference client's
    spelling), `MOLAM_API_BASE`, `PLUGMEND_SOCKET`, `PLUGMEND_UDP`, `PLUGMEND_SPOOL_DIR`.
    """
    global _current
    _current.close()
    _current = Client(**{**_from_environment(), **options})
    return _current


@quiet({})
def _from_environment() -> Dict[str, Any]:
    named = {"MOLAM_API_BASE": "api_base"}
    named.update({f"PLUGMEND_{name.upper()}": name for name in ("socket", "udp", "spool_dir")})
    found: Dict[str, Any] = {option: os.environ[name] for name, option in named.items() if os.environ.get(name)}
    config = quiet({})(json.loads)(os.environ.get("MOLAM_PLUGIN_CONFIG", "{}"))
    for name, value in config.items() if isinstance(config, dict) else ():
        found[re.sub(r"[A-Z]", lambda capital: "_" + capital.group().lower(), name)] = value
    return found


@quiet()
def request(ok: bool = True, ms: Any = None) -> None:
    _current.request(ok, ms)


def observe() -> ContextManager[None]:
    return _current.observe()


@quiet()
def error(message: Any = None) -> None:
    _current.error(message)


@quiet()
def webhook(ok: bool = True) -> None:
    _current.webhook(ok)


@quiet()
def payment(ok: bool = True) -> None:
    _current.payment(ok)


@quiet()
def count(name: str, by: float = 1) -> None:
    _current.count(name, by)


@quiet()
def gauge(name: str, value: float) -> None:
    _current.gauge(name, value)


@quiet()
def log_error(kind: Any, data: Any = None) -> None:
    _current.log_error(kind, data)


@quiet()
def track_webhook_call(success: Any) -> None:
    _current.track_webhook_call(success)


@quiet(False)
def send_heartbeat() -> bool:
    return _current.send_heartbeat()


@quiet()
def process_commands(commands: Any) -> None:
    _current.process_commands(commands)


@quiet()
def close() -> None:
    _current.close()
