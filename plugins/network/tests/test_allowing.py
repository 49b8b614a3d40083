"""Which hosts are allowed, by name and by what a name resolves to."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from framework.errors import PolicyError
from plugin_network import NetworkProvider, NetworkSettings
from plugin_network.address import Address
from plugin_network.allowing import AllowList

pytestmark = pytest.mark.anyio

PUBLIC, PRIVATE, LOCAL, CLOUD = "93.184.216.34", "10.1.2.3", "127.0.0.1", "169.254.169.254"


def allows(entries: list[str], host: str, *where: str) -> list[str]:
    """Return the addresses that may be used of those that a host resolves to."""
    addresses: list[Address] = [
        (socket.AF_INET6 if ":" in one else socket.AF_INET, (one, 80)) for one in where or (host,)
    ]
    allowed = AllowList(entries)
    try:
        allowed.check("a test", host)
        return [one[1][0] for one in allowed.permitted("a test", host, addresses)]
    except PolicyError:
        return []


@pytest.mark.parametrize(
    ("entries", "host", "where", "expected"),
    [
        ([], "any.example", [PRIVATE], [PRIVATE]),
        (["a.example"], "A.Example.", [PUBLIC], [PUBLIC]),
        (["a.example"], "b.example", [PUBLIC], []),
        (["*.example"], "a.b.example", [PUBLIC], [PUBLIC]),
        (["*.example"], "example", [PUBLIC], []),
        (["*.example"], "badexample", [PUBLIC], []),
        (["bücher.example"], "xn--bcher-kva.example", [PUBLIC], [PUBLIC]),
        (["10.0.0.0/8"], PRIVATE, [], [PRIVATE]),
        (["10.0.0.0/8"], "11.0.0.1", [], []),
        (["10.0.0.0/8"], "a.example", [PRIVATE], [PRIVATE]),
        (["10.0.0.0/8"], "a.example", [PUBLIC, PRIVATE], [PRIVATE]),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", [], ["::ffff:10.0.0.1"]),
        (["2001:db8::/32"], "2001:DB8::1", [], ["2001:DB8::1"]),
        (["localhost"], "localhost", [LOCAL, "::1"], [LOCAL, "::1"]),
        (["localhost"], LOCAL, [], []),
        (["a.example", PRIVATE], "a.example", [PUBLIC, PRIVATE], [PUBLIC, PRIVATE]),
    ],
)
def test_the_list_means_what_it_says(entries: list[str], host: str, where: list[str], expected: list[str]) -> None:
    assert allows(entries, host, *where) == expected


EVASIONS = [PRIVATE, LOCAL, CLOUD, "192.168.0.1", "100.64.0.1", "0.0.0.0", "::1", "fe80::1", "fd00::1"]
EVASIONS += [f"::ffff:{PRIVATE}", f"64:ff9b::{PRIVATE}", "2002:a01:203::1"]


@pytest.mark.parametrize("where", EVASIONS)
def test_a_name_service_cannot_direct_an_allowed_name_behind_the_firewall(where: str) -> None:
    assert allows(["*.example"], "a.example", where) == []
    assert allows(["*.example"], "a.example", where, PUBLIC) == [PUBLIC]


@given(st.ip_addresses(v=4), st.sampled_from(["10.0.0.0/8", "192.168.7.0/24", "0.0.0.0/0", "128.0.0.0/1"]))
def test_a_network_allows_its_addresses_and_no_others(address: ipaddress.IPv4Address, network: str) -> None:
    inside = address in ipaddress.ip_network(network)

    for spelling in (str(address), f"::ffff:{address}"):
        assert (allows([network], spelling) == [spelling]) is inside
        assert (allows([network], "a.example", spelling) == [spelling]) is inside


@pytest.mark.parametrize("entry", ["", " ", "*", "a.*", "*.*.example", "10.0.0.1/8", "10.0.0.0/33", "a/b"])
def test_an_entry_that_is_no_host_is_refused_by_the_settings(entry: str) -> None:
    with pytest.raises(ValidationError):
        NetworkSettings(allowed_hosts=[entry])


async def test_a_number_is_no_way_around_the_list() -> None:
    provider = NetworkProvider(NetworkSettings(allowed_hosts=["10.0.0.0/8"]))
    await provider.initialize()
    for spelling in ("127.1", "0x7f.1", "2130706433", "localhost"):
        with pytest.raises(PolicyError, match=r"which resolves to .*allowed_hosts allows 10\.0\.0\.0/8"):
            await provider.create_tcp_connection("c", spelling, 80)
    assert provider.ledger.statistics().held == 0
    await provider.cleanup()


async def test_an_address_of_the_list_may_be_used_by_name() -> None:
    provider = NetworkProvider(NetworkSettings(allowed_hosts=["127.0.0.0/8"]))
    await provider.initialize()
    async with await provider.create_socket("home", host="localhost") as home:
        assert home.address[0] == "127.0.0.1"
        async with await provider.create_tcp_connection("c", "localhost", home.port) as connection:
            assert connection.peer == home.address
        with pytest.raises(PolicyError, match=r"'0\.0\.0\.0'"):
            await provider.create_socket("other", host="0.0.0.0")
    await provider.cleanup()
