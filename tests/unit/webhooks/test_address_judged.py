"""Which resolved addresses a webhook may reach, each with what is behind it."""

import ipaddress

import pytest

from domain.webhooks.address import is_public_unicast, judge

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

# Addresses that must never be connected to; behind them, what they are.
INSIDE = {
    "0.0.0.0": "this host",
    "10.1.2.3": "private",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "100.64.0.1": "carrier NAT",
    "100.100.100.200": "Alibaba's metadata",
    "168.63.129.16": "Azure's platform service",
    "169.254.169.254": "metadata",
    "172.31.0.1": "private",
    "192.0.0.9": "protocol assignment",
    "192.0.0.192": "Oracle's metadata",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarks",
    "203.0.113.9": "documentation",
    "224.0.0.1": "multicast",
    "233.252.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "v4-compatible",
    "::ffff:127.0.0.1": "v4-mapped loopback",
    "::ffff:169.254.169.254": "v4-mapped metadata",
    "64:ff9b::7f00:1": "NAT64 of loopback",
    "64:ff9b::a9fe:a9fe": "NAT64 of metadata",
    "64:ff9b:1::a9fe:a9fe": "local NAT64",
    "64:ff9b:1::808:808": "local NAT64: where it leads is not known",
    "2002:7f00:1::": "6to4 of loopback",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "fe80::1": "link-local",
    "fe80::1%eth0": "with a zone",
    "fec0::1": "site-local",
    "fc00::1": "unique local",
    "fd00:ec2::254": "Amazon's metadata",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "2001:2::1": "benchmarks",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHID, second version",
    "100::1": "discard",
    "3ffe::1": "6bone",
    "3fff::1": "documentation",
    "5f00::1": "segment routing",
    "8000::1": "not allocated",
    "localhost": "no address",
    "": "no address",
}


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_unicast_is_public(ip: str) -> None:
    assert is_public_unicast(ip)
    assert judge(ip, development=True) is None


@pytest.mark.parametrize(("ip", "what"), INSIDE.items())
def test_everything_else_is_not(ip: str, what: str) -> None:
    assert not is_public_unicast(ip), what


@pytest.mark.parametrize("ip", INSIDE)
def test_development_adds_plain_loopback_only(ip: str) -> None:
    plain = ip == "::1" or ip.startswith("127.")
    assert (judge(ip, development=True) is None) == plain


def test_no_private_address_is_public() -> None:
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"):
        network = ipaddress.ip_network(block)
        for address in (network[0], network[1], network[-1]):
            assert not is_public_unicast(str(address))
