"""The agent's spool directory, for while the agent is down.

Lines are appended to `plugmend-<slot>.part`, which is handed over by renaming it to `plugmend-<slot>.ndjson` as soon as the
agent has taken the file before. A slot is one writer's at a time; who finds all of them taken gives its lines up rather than
wait. The PHP client writes the same files in the same way.
"""

import os
import random
from typing import Any

from ._quiet import quiet

try:
    import fcntl
except ImportError:  # not a Unix: there is no agent to take the files
    fcntl: Any = None  # type: ignore[no-redef]

# So many writers at the same time. The agent reads 16 files a scan.
_SLOTS = 4
# A file of a slot, in bytes; a slot has two. In all the spool is never larger than 2 MiB.
_MAX_FILE = 262_144
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Of our own: a shop that has seeded the common one counts on what comes next.
_random = random.SystemRandom()


class Spool:
    """A spool directory."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def append(self, lines: str) -> bool:
        """Appends whole lines. False when they were given up."""
        first = _random.randrange(_SLOTS)
        return any(self._in_slot((first + n) % _SLOTS, lines.encode()) for n in range(_SLOTS))

    def hand_over(self) -> None:
        """Hands over what lies: after an outage nobody else appends any more, and the last lines would lie for ever."""
        for slot in range(_SLOTS):
            if os.path.isfile(self._path(slot, "part")):
                self._in_slot(slot, b"")

    @quiet(False)
    def _in_slot(self, slot: int, lines: bytes) -> bool:
        file = os.open(self._path(slot, "part"), _FLAGS, 0o660)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._write(file, slot, lines)
        finally:
            os.close(file)

    def _write(self, file: int, slot: int, lines: bytes) -> bool:
        part, ready = self._path(slot, "part"), self._path(slot, "ndjson")
        ours, there = os.fstat(file), os.lstat(part)
        # Handed over between opening and locking: what is written into it now, nobody may read.
        if (ours.st_dev, ours.st_ino, ours.st_nlink) != (there.st_dev, there.st_ino, 1):
            return False
        size = ours.st_size + len(lines)
        written = not lines or (size <= _MAX_FILE and os.write(file, lines) == len(lines))
        # The lock is the slot's, so nobody else makes that name between the two calls.
        if size > 0 and not os.path.lexists(ready):
            os.rename(part, ready)
        return written

    def _path(self, slot: int, suffix: str) -> str:
        return os.path.join(self._folder, f"plugmend-{slot}.{suffix}")
