"""The agent's sockets. Nothing here waits: what can not be handed over at once is not handed over."""

import ipaddress
import re
import socket
from typing import Any, Optional, Tuple

from ._quiet import quiet

_UDP = re.compile(r"(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):([0-9]{1,5})")


def loopback(address: Any) -> Optional[Tuple[str, int]]:
    """`127.0.0.1:8125` or `[::1]:8125`. Names are not looked up: that can block, and telemetry stays on this machine."""
    found = _UDP.fullmatch(address) if isinstance(address, str) else None
    if found is None:
        return None
    try:
        host = ipaddress.ip_address(found.group(1) or found.group(2))
    except ValueError:
        return None
    port = int(found.group(3))
    return (str(host), port) if host.is_loopback and 0 < port < 65536 else None


class Sockets:
    """Ways to the agent. Safe from several threads, and after a fork: no call leaves anything for the next one."""

    def __init__(self, path: Optional[str], udp: Optional[Tuple[str, int]]) -> None:
        self._path = path
        self._udp = udp

    @quiet(False)
    def send_datagram(self, lines: str) -> bool:
        """Hands DogStatsD over. Whether it was taken."""
        if self._path is not None:
            family, address = socket.AF_UNIX, self._path + ".dgram"  # type: Any, Any
        elif self._udp is not None:
            family, address = socket.AF_INET6 if ":" in self._udp[0] else socket.AF_INET, self._udp
        else:
            return False
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            return sender.sendto(lines.encode(), address) > 0

    @quiet(False)
    def send_stream(self, lines: str) -> bool:
        """Hands lines of JSON over. False when nothing of them was taken."""
        if self._path is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sender:
            # A full listener fails the connection instead of holding us up.
            sender.setblocking(False)
            sender.connect(self._path)
            return sender.send(lines.encode()) > 0
