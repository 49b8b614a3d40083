"""`AllowList`: which hosts the configuration lets this program connect to, send to and listen on."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from framework.errors import PolicyError
from plugin_network.address import Address, Where, plain

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address behind a translator, RFC 6052


class AllowList:
    """Names, names below a domain (`*.example.org`), addresses and networks (`10.0.0.0/8`); an empty one allows any.

    A listed address or network allows whatever name leads there. A listed name leads only to addresses of the public
    internet, and `localhost` to this machine; a name that resolves to a private or local address needs that address
    listed as well, so that who can write into a name service cannot direct a program at what is behind its firewall.

    Args:
        entries: What is allowed.

    Raises:
        ValueError: An entry is none of these.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._entries = sorted(entries)
        self._names: set[str] = set()
        self._domains: list[str] = []
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in self._entries:
            self._add(entry)

    def _add(self, entry: str) -> None:
        if "/" in entry or _address(entry) is not None:
            self._networks.append(ipaddress.ip_network(entry))
        elif entry.startswith("*.") and "*" not in entry[1:]:
            self._domains.append(plain(entry[1:]))
        elif "*" in entry or not entry.strip():
            msg = f"{entry!r} is no host; allowed: a name, '*.' and a name, an address, or a network as in 10.0.0.0/8"
            raise ValueError(msg)
        else:
            self._names.add(plain(entry))

    def check(self, subject: str, host: str) -> None:
        """Refuse a host that cannot be allowed whatever it resolves to; nothing is looked up for it.

        Raises:
            PolicyError: It cannot.
        """
        if not self._entries:
            return
        address = _address(host)
        allowed = self._lists(address) if address else bool(self._networks) or self._names_host(host)
        if not allowed:
            raise self._refusal(f"{subject} may not use the host {host!r}")

    def permitted(self, subject: str, host: str, addresses: list[Address]) -> list[Address]:
        """Return those addresses of a host that are allowed.

        Raises:
            PolicyError: None is.
        """
        if not self._entries:
            return addresses
        named = self._names_host(host)
        found = [one for one in addresses if self._permits(one[1], host, named=named)]
        if not found:
            where = ", ".join(str(one[1][0]) for one in addresses[:3])
            raise self._refusal(f"{subject} may not use the host {host!r}, which resolves to {where}")
        return found

    def _permits(self, where: Where, host: str, *, named: bool) -> bool:
        address = _address(where[0])
        if address is None:
            return False
        local = address.is_loopback and plain(host) == "localhost"
        return self._lists(address) or (named and (address.is_global or local))

    def _lists(self, address: IpAddress) -> bool:
        return any(address in network for network in self._networks)

    def _names_host(self, host: str) -> bool:
        name = plain(host)
        return name in self._names or any(name.endswith(domain) for domain in self._domains)

    def _refusal(self, problem: str) -> PolicyError:
        return PolicyError(
            f"{problem}; network.allowed_hosts allows {', '.join(self._entries)}.",
            "Use one of these, or have the host, and its address where that is private, added to the setting.",
        )


def _address(text: str) -> IpAddress | None:
    """Return an address, an IPv4 one for an IPv6 one that stands for it; nothing for a name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
