"""What a plugin can say, made and bounded in one place.

The agent refuses a line that is not in order, and a refused line says nothing. An event that is not in order is `None`.
"""

import math
import re
import time
from typing import Any, Dict, Optional

Event = Dict[str, Any]

# The agent keeps no more of a text, in bytes.
_MAX_TEXT = 200
_MAX_ENV = 16
# Keeps the longest possible hello below the 8,192 bytes of a line, escapes included.
_MAX_ENV_TEXT = 64
# The longest request that is believed, in ms: a day.
_MAX_MS = 86_400_000
# Beyond it the agent's numbers (IEEE 754 doubles) end.
_MAX_NUMBER = 1e300

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,89}")
_ENV_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
# Characters that mean something in DogStatsD do not occur in versions.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def hello(environment: Any) -> Event:
    return _made("hello", env=env(environment))


def request(ok: Any, ms: Any) -> Event:
    fields = {"ok": ok is not False}
    if _is_number(ms) and 0 <= ms <= _MAX_MS:
        fields["ms"] = round(float(ms), 3)
    return _made("request", **fields)


def error(message: Any) -> Event:
    return _made("error") if message is None else _made("error", message=text(message))


def webhook(ok: Any) -> Event:
    return _made("webhook", ok=ok is not False)


def counter(name: Any, by: Any) -> Optional[Event]:
    fine = _is_name(name) and _is_number(by) and by >= 0
    return _made("counter", name=name, value=by) if fine else None


def gauge(name: Any, value: Any) -> Optional[Event]:
    return _made("gauge", name=name, value=value) if _is_name(name) and _is_number(value) else None


def words(kind: Any, data: Any) -> str:
    """The words of an error, from whatever a plugin has at hand."""
    said = data.get("message") if isinstance(data, dict) else data
    return text(kind) if said is None else f"{text(kind)}: {text(said)}"


def text(value: Any, most: int = _MAX_TEXT) -> str:
    """The first line of a text, as UTF-8 can write it: a lone surrogate can not be read by the agent."""
    said = f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    whole = said[: most * 4].lstrip()
    first = whole.splitlines()[0] if whole else ""
    return first[:most].encode("utf-8", "replace").decode("utf-8")


def version(value: Any) -> Optional[str]:
    """A version, or `None` when it is none."""
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else None


def env(values: Any) -> Dict[str, str]:
    """What the plugin runs on: versions by name."""
    kept: Dict[str, str] = {}
    for name, value in values.items() if isinstance(values, dict) else ():
        if len(kept) < _MAX_ENV and isinstance(name, str) and _ENV_NAME.fullmatch(name) and value is not None:
            kept[name] = text(value, _MAX_ENV_TEXT)
    return kept


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _is_number(value: Any) -> bool:
    fine = isinstance(value, (int, float)) and not isinstance(value, bool)
    return fine and abs(value) <= _MAX_NUMBER and math.isfinite(value)


def _made(kind: str, **fields: Any) -> Event:
    return {"type": kind, **fields, "at": time.time()}
