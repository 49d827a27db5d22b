"""Sums over the last hours, in fixed memory."""

import threading


class Rolling:
    """A sum over the last `slots * slot_s` seconds, exact to one slot. Time is an argument: monotonic."""

    def __init__(self, slots: int, slot_s: float) -> None:
        self._slots = [0] * slots
        self._slot_s = slot_s
        self._newest = 0
        self._lock = threading.Lock()

    def add(self, now: float, by: int) -> None:
        with self._lock:
            self._turn(now)
            self._slots[self._newest % len(self._slots)] += by

    def sum(self, now: float) -> int:
        with self._lock:
            self._turn(now)
            return sum(self._slots)

    def _turn(self, now: float) -> None:
        """Empties the slots that have come round since the last time."""
        slot = int(now // self._slot_s)
        for passed in range(max(self._newest + 1, slot - len(self._slots) + 1), slot + 1):
            self._slots[passed % len(self._slots)] = 0
        self._newest = max(self._newest, slot)
