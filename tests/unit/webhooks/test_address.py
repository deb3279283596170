"""Which URLs a webhook may have: a table of the forms they come in."""

import pytest

from domain.webhooks.address import LONGEST_URL, check_url, open_ports

FINE = [
    "https://erp.example/hooks",
    "https://erp.example",
    "https://ERP.Example/Hooks?site=LL&x=%2B",
    "HTTPS://erp.example/",
    "https://erp.example?x=1",
    "https://erp.example:443/hooks",
    "https://erp.example/réception",
    "https://bücher.example/",
    "https://xn--bcher-kva.example/",
    "https://straße.example/",
    "https://xn--strae-oqa.example/",
    "https://例え.テスト/",
    "https://l·l.example/",
    "https://1.2.3.4.example/",
    "https://a--b.example/",
    "https://93.184.216.34/",
    "https://[2606:4700::1111]/",
    "https://erp.example/@user",
    "https://localhost.example/",
    "https://internal.example/",
]

REFUSED = {
    "scheme": ["http://erp.example/", "ftp://erp.example/", "file://erp.example/x"],
    "no URL": ["", "erp.example", "//erp.example/", "https:/erp.example/", "https://"],
    "no host": ["https:///hooks", "https://:443/", "https://?x", "https://#x"],
    "port": [
        "https://erp.example:80/",
        "https://erp.example:0/",
        "https://erp.example:65536/",
        "https://erp.example:99999999/",
        "https://erp.example:/",
        "https://erp.example:+443/",
        "https://erp.example:\uff14\uff14\uff13/",
    ],
    "user info": ["https://user:pw@erp.example/", "https://@erp.example/"],
    "fragment": ["https://erp.example/#x", "https://erp.example#@10.0.0.1/"],
    "hidden characters": [
        " https://erp.example/",
        "https://erp.example/ x",
        "https://erp.example/\r\nHost: evil",
        "https://erp\t.example/",
        "https://erp.example/\x00",
        "https://erp.example/\u2028",
        "https://erp.exa\u200bmple/",
        "https://local\u00adhost/",
        "https://127.0.0.1\\@erp.example/",
    ],
    "private literals": [
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://255.255.255.255/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https://[2001:db8::1]/",
    ],
    "odd literals": [
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://0x/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://127.0.0.0x1/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://①②⑦.0.0.1/",
        "https://127。0。0。1/",
        "https://1.2.3.4.5/",
        "https://999.1.1.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::8.8.8.8]/",
        "https://[2002:808:808::]/",
        "https://[::127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:4700::1111%25eth0]/",
        "https://[127.0.0.1]/",
        "https://[::1/",
        "https://::1/",
        "https://[2606:4700::1111]x/",
    ],
    "names inside": [
        "https://localhost/",
        "https://LOCALHOST/",
        "https://localhost./",
        "https://api.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://router.home.arpa/",
        "https://postgres/",
    ],
    "invalid names": [
        "https://erp.example./",
        "https://erp..example/",
        "https://.erp.example/",
        "https://-erp.example/",
        "https://erp-.example/",
        "https://erp_1.example/",
        "https://erp,1.example/",
        "https://erp%2eexample/",
        f"https://{'a' * 64}.example/",
        f"https://{'.'.join(['a' * 60] * 5)}.example/",
        f"https://{'ü' * 64}.example/",
        "https://xn--.example/",
        "https://xn--a.example/",
        "https://xn--99999999.example/",
        "https://ⓔxample.com/",
        "https://☃.example/",
        "https://\u0301x.example/",
        "https://bu\u0308cher.example/",
        "https://erp\uff0eexample/",
    ],
    "length": [f"https://erp.example/{'x' * LONGEST_URL}"],
}


@pytest.mark.parametrize("url", FINE)
def test_a_public_https_url_is_fine(url: str) -> None:
    assert check_url(url, development=False) is None
    assert check_url(url, development=True) is None


@pytest.mark.parametrize(
    ("why", "url"), [(why, url) for why, urls in REFUSED.items() for url in urls]
)
def test_what_is_refused_gets_a_reason(why: str, url: str) -> None:
    reason = check_url(url, development=False)
    assert reason, why
    assert len(reason) < 100


def test_the_longest_url_is_fine() -> None:
    url = "https://erp.example/".ljust(LONGEST_URL, "x")
    assert check_url(url, development=False) is None


def test_further_ports_can_be_allowed() -> None:
    url = "https://erp.example:8443/"
    assert check_url(url, development=False) == "port 8443 is not allowed"
    assert check_url(url, development=False, ports=open_ports("9443,8443")) is None
    assert open_ports(None) == open_ports("") == {443}


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:9000/hooks",
        "http://api.localhost/",
        "http://127.0.0.1:1/",
        "http://[::1]:65535/",
        "https://127.8.8.8/",
        "http://erp.example:8080/",
    ],
)
def test_development_allows_loopback_and_http(url: str) -> None:
    assert check_url(url, development=True) is None
    assert check_url(url, development=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://printer.local/",
        "http://postgres:5432/",
        "http://localhost:0/",
        "http://localhost:65536/",
        "http://user@localhost/",
        "ftp://localhost/",
    ],
)
def test_development_allows_nothing_else(url: str) -> None:
    assert check_url(url, development=True)
