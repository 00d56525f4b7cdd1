"""Where a webhook may go: public addresses by https, and hosts the operator names. Knows no message.

The address that is connected to is checked, at the moment the socket is made, and not the name: a name may resolve to
anything, and to something else the next time (DNS rebinding). Refused is all that is not global by the IANA registries,
multicast, and of IPv6 whatever is outside 2000::/3 or carries an IPv4 address inside (mapped, 6to4, Teredo, NAT64's
64:ff9b::/96): Python's ``is_global`` lets some of these pass.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from yarl import URL

_UNICAST = ipaddress.IPv6Network("2000::/3")
REFUSED = "address refused"


class Refused(OSError):
    """The address is not one that a webhook may reach."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


def is_public(address: str) -> bool:
    """Whether a literal address may be reached by anybody's webhook."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and (found not in _UNICAST or found.sixtofour or found.teredo):
        return False
    return found.is_global and not found.is_multicast


def guarded_socket(info: Any) -> socket.socket:
    """The socket for a resolved address; for aiohttp's ``socket_factory``.

    Raises:
        Refused: before anything is connected.
    """
    family, kind, protocol, _, place = info
    if not is_public(str(place[0])):
        raise Refused
    return socket.socket(family=family, type=kind, proto=protocol)


SocketMaker = Callable[[Any], socket.socket]


def fault(url: URL, allowed: frozenset[str]) -> str | None:
    """Why a webhook may not go to ``url``, as far as the text can tell; None when it may. The socket is checked too."""
    if url.scheme not in ("http", "https") or not url.host:
        return "format"
    if url.user is not None or url.password is not None:
        return "user-info"
    if url.host in allowed:
        return None
    if url.scheme != "https":
        return "https-only"
    if _is_literal(url.host):
        return None if is_public(url.host) else "address-refused"
    return "format" if url.host.rpartition(".")[2].isdigit() else None  # 127.1 and 2130706433 are addresses in disguise


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
