"""Carries orders out by the plugin's own handlers and reports how it went."""

import json
import re
import threading
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Tuple

from ._events import text
from ._quiet import quiet

# The kinds of orders there are. A plugin declares those that it has a handler for, and is sent no others.
KINDS = ("update", "rollback", "config_update", "health_check", "restart")
# Orders that are looked at in one answer.
_MAX_AT_ONCE = 16
# Results that are remembered: the same order twice is answered, not carried out again.
_MAX_REMEMBERED = 64
_PATIENCE_S = 60.0
_ID = re.compile(r"[0-9a-fA-F-]{1,64}")

Report = Callable[[str, str, Dict[str, Any]], Any]


class Commands:
    """The handlers, and what became of the last orders. `report(id, "ack" | "fail", body)` tells the control plane."""

    def __init__(self, handlers: Any, report: Report) -> None:
        given = handlers if isinstance(handlers, dict) else {}
        self._handlers = {kind: given[kind] for kind in KINDS if callable(given.get(kind))}
        self._report = report
        self._results: "OrderedDict[Tuple[str, Any], Tuple[str, Dict[str, Any]]]" = OrderedDict()

    @property
    def capabilities(self) -> List[str]:
        return list(self._handlers)

    def process(self, commands: Any) -> None:
        """Carries orders out, one after the other."""
        for command in commands[:_MAX_AT_ONCE] if isinstance(commands, list) else ():
            self._one(command)

    @quiet()
    def _one(self, command: Any) -> None:
        order, payload = command["id"], command.get("payload") or {}
        if not isinstance(order, str) or not _ID.fullmatch(order):
            return
        generation = payload.get("generation")
        key = (order, generation)
        if key not in self._results:
            self._results[key] = self._carry_out(command.get("type"), payload)
            while len(self._results) > _MAX_REMEMBERED:
                self._results.popitem(last=False)
        verb, body = self._results[key]
        self._report(order, verb, body if generation is None else {**body, "generation": generation})

    def _carry_out(self, kind: Any, payload: Any) -> Tuple[str, Dict[str, Any]]:
        handler = self._handlers.get(kind)
        if handler is None:
            return "fail", {"error": f"unsupported: this plugin can not {text(kind, 40)}", "retryable": False}
        outcome: List[Tuple[str, Dict[str, Any]]] = []

        def run() -> None:
            try:
                outcome.append(("ack", {"result": _sayable(handler(payload))}))
            except Exception as error:
                outcome.append(("fail", {"error": f"failed: {text(error)}"}))

        # In a thread of its own, so that one that hangs does not also end the heartbeats.
        thread = threading.Thread(target=run, name="plugmend-order", daemon=True)
        thread.start()
        thread.join(_PATIENCE_S)
        return outcome[0] if outcome else ("fail", {"error": f"timeout: no end within {_PATIENCE_S:.0f} s"})


def _sayable(result: Any) -> Any:
    """What JSON has no words for is told as text: an order that was carried out must be answered."""
    try:
        json.dumps(result, allow_nan=False)
        return result
    except (TypeError, ValueError, RecursionError):
        return text(result)
