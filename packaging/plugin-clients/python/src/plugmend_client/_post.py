"""Posts to the control plane."""

import json
import time
import urllib.request
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

# Of each step (connecting, sending, the next bytes of the answer), in seconds.
_PATIENCE_S = 10.0
# Of the whole answer.
_ANSWER_S = 20.0
# The longest answer that is read, in bytes.
_MAX_ANSWER = 256 * 1024


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The secret goes where it was sent, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def base(text: Any) -> Optional[str]:
    """The address to post to, or `None`: the secret goes over HTTPS, or to this machine."""
    try:
        url = urlsplit(text)
        here = url.hostname in ("localhost", "127.0.0.1", "::1")
        fine = url.scheme == "https" or (url.scheme == "http" and here)
        _ = url.port
        return text.rstrip("/") if fine and url.hostname and not (url.username or url.query or url.fragment) else None
    except (ValueError, AttributeError, TypeError):
        return None


def post(url: str, headers: Dict[str, str], body: Any) -> Any:
    """Posts JSON; the answer as data. Raises on anything but success."""
    handlers = [_NoRedirects()]
    if url.startswith("http:"):
        # To this machine, in the clear: past a proxy that the environment may name.
        handlers.append(urllib.request.ProxyHandler({}))  # type: ignore[arg-type]
    request = urllib.request.Request(url, json.dumps(body, allow_nan=False).encode(), method="POST")
    for name, value in {"Content-Type": "application/json", "Accept": "application/json", **headers}.items():
        request.add_header(name, value)
    until = time.monotonic() + _ANSWER_S
    with urllib.request.build_opener(*handlers).open(request, timeout=_PATIENCE_S) as response:
        answer = b""
        while True:
            piece = response.read1(65536)
            answer += piece
            if not piece:
                return json.loads(answer) if answer else {}
            if len(answer) > _MAX_ANSWER or time.monotonic() > until:
                raise ValueError("the answer is too long")
