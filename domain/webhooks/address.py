"""Where a webhook may point: the form of its URL, and the addresses it may reach.

`check_url` judges text, when a webhook is written down and before each request. A text
proves nothing about where a name leads, so `judge` judges every address that the name
resolves to, and the sender connects to exactly the address that was judged.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Sequence

from domain.errors import Fault

LONGEST_URL = 2048
MOST_NETWORKS = 20
HTTPS_PORTS = frozenset({443})

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# `host`, `host:port` or `[v6]:port` and nothing else: an empty port, user info and zone
# ids do not fit, so no two parsers can disagree on which part is the host.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#\[\]:@]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][^#]*)?"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# What the resolver of the C library reads as an IPv4 number, in any of its spellings.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# What IDNA 2008 lets into a label, nearly: lower-case and caseless letters, marks and
# digits, and the dots and quotes of Catalan, Greek, Hebrew and Japanese words.
_LABEL_CATEGORIES = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"})
_LABEL_MARKS = frozenset("-\u00b7\u0375\u05f3\u05f4\u30fb")
# Other dots, which some parsers turn into a dot only after the host has been judged.
_FOREIGN_DOTS = frozenset("\u3002\uff0e\uff61")
_INSIDE_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa")

# Python's `is_global` calls these global (3.11.7), or did in some version.
_DENIED_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "100.64.0.0/10",  # carrier NAT; Alibaba's metadata service lives in it
        "168.63.129.16/32",  # Azure's platform service, reachable from inside only
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.175.48.0/24",  # AS112
    )
)
_DENIED_V6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the 6bone, given back
        "3fff::/20",  # documentation
    )
)
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def check_url(
    url: str, *, development: bool, ports: frozenset[int] = HTTPS_PORTS
) -> str | None:
    """Why this URL is refused, as a sentence for its author; None when it is fine."""
    if len(url) > LONGEST_URL:
        return f"the URL is longer than {LONGEST_URL:,} characters"
    if _has_hidden_characters(url):
        return "the URL contains white space, a control character or a backslash"
    parts = _URL.fullmatch(url)
    if parts is None:
        return _why_malformed(url)
    host = parts["host"].lower()
    return (
        _check_scheme(parts["scheme"].lower(), development)
        or _check_host(host, development)
        or _check_port(parts["port"], parts["scheme"].lower(), development, ports)
    )


def open_ports(further: str | None) -> frozenset[int]:
    """443 and those that an operator opens besides, with commas between them."""
    return HTTPS_PORTS.union(int(port) for port in (further or "").split(",") if port)


def check_networks(
    networks: Sequence[str] | None, pointer: str = "#/networks"
) -> list[Fault]:
    """The faults of the blocks in which a webhook's host must lie; None: anywhere."""
    if networks is None:
        return []
    if not 1 <= len(networks) <= MOST_NETWORKS:
        detail = f"a list of 1 to {MOST_NETWORKS} blocks, or null"
        return [Fault(pointer, "invalid", detail)]
    detail = (
        "a block like 203.0.113.0/24 or 2001:db8::/32, no bit set behind its prefix"
    )
    return [
        Fault(f"{pointer}/{index}", "invalid", detail)
        for index, text in enumerate(networks)
        if not _is_block(text)
    ]


def is_within(ip: str, networks: Sequence[str]) -> bool:
    """Whether this resolved address lies in one of the blocks, once unwrapped."""
    address = ipaddress.ip_address(ip)
    address = _embedded(address) or address
    return any(address in ipaddress.ip_network(block) for block in networks)


def is_public_unicast(ip: str) -> bool:
    """Whether `ip`, once unwrapped, is one machine's address on the public internet."""
    return judge(ip, development=False) is None


def judge(ip: str, *, development: bool) -> str | None:
    """Why no connection may be made to this resolved address; None when it may."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "not an address"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return "an address of one network interface"
    # Only the plain forms: a wrapped loopback is nobody's development machine.
    if development and address.is_loopback and not _embedded(address):
        return None
    address = _embedded(address) or address
    return None if _is_public(address) else "not a public unicast address"


def _is_block(text: str) -> bool:
    try:
        return "/" in text and ipaddress.ip_network(text) is not None
    except ValueError:
        return False


def _has_hidden_characters(url: str) -> bool:
    return any(
        letter == "\\" or letter.isspace() or unicodedata.category(letter)[0] == "C"
        for letter in url
    )


def _why_malformed(url: str) -> str:
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "#" in url:
        return "the URL has a fragment (#...), which is never sent"
    if "@" in authority:
        return "the URL carries user info; put credentials in a header"
    return "not a URL of the form https://host/path"


def _check_scheme(scheme: str, development: bool) -> str | None:
    if scheme == "https" or (development and scheme == "http"):
        return None
    return "only https is allowed"


def _check_port(
    port: str | None, scheme: str, development: bool, ports: frozenset[int]
) -> str | None:
    number = int(port) if port else {"http": 80}.get(scheme, 443)
    if development and 0 < number < 65536:
        return None
    if number in ports:
        return None
    return f"port {number} is not allowed"


def _check_host(host: str, development: bool) -> str | None:
    labels = host.split(".")
    if host.startswith("[") or _NUMBER.fullmatch(labels[-1]):
        return _check_literal(host.strip("[]"), development)
    if not labels[-1]:
        return "the host ends in a dot; leave it out"
    if not _is_name(host, labels):
        return "the host is not a valid name"
    if _is_below(host, "localhost") and development:
        return None
    if len(labels) == 1 or any(_is_below(host, name) for name in _INSIDE_NAMES):
        return "the host is a name of an internal network"
    return None


def _check_literal(host: str, development: bool) -> str | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "the host is a number that is not a plain IP address"
    if _embedded(address) is not None:
        return "the host is an IPv4 address inside an IPv6 address"
    if judge(host, development=development):
        return "the host is not a public address"
    return None


def _is_below(host: str, name: str) -> bool:
    return host == name or host.endswith(f".{name}")


def _is_name(host: str, labels: list[str]) -> bool:
    if not _FOREIGN_DOTS.isdisjoint(host):
        return False
    written = [_ascii_label(label) for label in labels]
    return all(written) and len(".".join(map(str, written))) <= 253


def _ascii_label(label: str) -> str | None:
    """The label as it stands in DNS; None when no such label can exist."""
    if label.isascii():
        if not _LABEL.fullmatch(label):
            return None
        return label if not label.startswith("xn--") else _checked_punycode(label)
    if len(label) > 63 or not _is_letters(label):
        return None
    written = "xn--" + label.encode("punycode").decode("ascii")
    return written if _LABEL.fullmatch(written) else None


def _checked_punycode(label: str) -> str | None:
    try:
        shown = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return None
    if shown.isascii() or not _is_letters(shown):
        return None
    return label if f"xn--{shown.encode('punycode').decode()}" == label else None


def _is_letters(label: str) -> bool:
    # Full-width and circled digits are not stable under NFKC: a resolver may turn them
    # into 127.0.0.1 after they have been read as a name.
    return (
        unicodedata.normalize("NFKC", label).lower() == label
        and unicodedata.category(label[0])[0] != "M"
        and not (label.startswith("-") or label.endswith("-"))
        and all(_may_stand_in_label(letter) for letter in label)
    )


def _may_stand_in_label(letter: str) -> bool:
    return letter in _LABEL_MARKS or unicodedata.category(letter) in _LABEL_CATEGORIES


def _embedded(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address which packets to this IPv6 address end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_public(address: _Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _DENIED_V4)
    # Outside 2000::/3 lie the local NAT64 prefix 64:ff9b:1::/48 (where in it the IPv4
    # address stands is the network's secret), ::/96, fec0::/10 and 5f00::/16.
    # Teredo is refused whole, within 2001::/23: nobody receives webhooks there.
    return address in _UNICAST_V6 and not any(address in b for b in _DENIED_V6)
