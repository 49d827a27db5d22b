"""The agent's two notations: DogStatsD for its datagram sockets; JSON, one object a line, for its stream socket and spool."""

import json as _json
import time
from typing import Optional

from ._events import Event


def json(event: Event, version: Optional[str], dated: bool) -> str:
    """An event as a line of JSON; `dated` when the line says when it happened, for the spool."""
    said = {name: value for name, value in event.items() if name != "at"}
    if version is not None:
        said["version"] = version
    if dated:
        said["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event["at"]))
    return _json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def statsd(event: Event, version: Optional[str]) -> str:
    """An event as lines of DogStatsD; none for what that can not say. The words of an error have no place there."""
    tags = [f"ok:{'true' if event['ok'] else 'false'}"] if "ok" in event else []
    tags += [f"version:{version}"] if version is not None else []
    tail = f"|#{','.join(tags)}" if tags else ""
    kind = event["type"]
    if kind == "request":
        latency = f"latency:{event['ms']!r}|ms\n" if "ms" in event else ""
        return f"requests:1|c{tail}\n{latency}"
    if kind == "error":
        return f"errors:1|c{tail}\n"
    if kind == "webhook":
        return f"webhook:1|c{tail}\n"
    if kind in ("counter", "gauge"):
        return f"{event['name']}:{event['value']!r}|{kind[0]}\n"
    return ""
