"""What may be reached, as tables."""

import json
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.outbound import address_guard
from tocsin.outbound.address_guard import (
    Allow,
    Allowed,
    ParsedUrl,
    check_url,
    parse_allow_targets,
    refusal,
    vet,
)

SHARED = Path(__file__).parents[2].parent / "shared"
DENY = json.loads((SHARED / "data/ssrf/deny_cidrs.json").read_text())
EVERYTHING = parse_allow_targets("0.0.0.0/0,::/0")


def test_our_deny_list_is_the_researched_one() -> None:
    ours = json.loads(Path(address_guard.__file__).with_name("deny_cidrs.json").read_text())
    assert ours == DENY


# Every edge of a denied network, and the public neighbour just outside it where there is one.
DENIED = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "224.0.0.0",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a9fe:a9fe",
    "100::1",
    "2001::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "1fff::1",
    "not an address",
    "",
    "127.1",
    "0177.0.0.1",
    "2130706433",
]
PUBLIC = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "168.63.129.15",
    "168.63.129.17",
    "8.8.8.8",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "3ffe::1",
    "3fff:1000::1",
    "2606:4700::1111",
]


@pytest.mark.parametrize("address", DENIED)
def test_a_denied_address_is_never_dialled(address: str) -> None:
    assert not vet(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_dialled(address: str) -> None:
    assert refusal(address, 443) == ""


def _inside(cidr: str) -> st.SearchStrategy[str]:
    network: IPv4Network | IPv6Network = IPv6Network(cidr) if ":" in cidr else IPv4Network(cidr)
    low, high = int(network.network_address), int(network.broadcast_address)
    kind = type(network.network_address)
    return st.integers(low, high).map(lambda number: str(kind(number)))


@given(
    address=st.sampled_from([*DENY["ipv4"], *DENY["ipv6"]]).flatmap(_inside),
    port=st.sampled_from([80, 443, 1024, 8443, 65535]),
)
def test_no_address_in_a_denied_network_is_vetted(address: str, port: int) -> None:
    assert not vet(address, port)


@given(_inside("::/0"))
def test_ipv6_is_vetted_inside_2000_3_only(address: str) -> None:
    assert not vet(address, 443) or IPv6Address(address) in IPv6Network("2000::/3")


@pytest.mark.parametrize(
    "allow, address, port, may",
    [
        ("10.1.0.0/16", "10.1.255.255", 443, True),
        ("10.1.0.0/16", "10.2.0.0", 443, False),
        ("10.1.0.0/16", "10.0.255.255", 443, False),
        ("10.1.0.0/16", "10.1.0.1", 8080, True),
        ("10.1.0.0/16", "10.1.0.1", 5432, False),  # an internal service has to be named with its port
        ("10.1.0.0/16", "10.1.0.1", 22, False),
        ("10.1.0.0/16:22", "10.1.0.1", 22, True),
        ("10.1.2.3:8080", "10.1.2.3", 8080, True),
        ("10.1.2.3:8080", "10.1.2.3", 8081, False),
        ("10.1.2.3:8080", "10.1.2.4", 8080, False),
        ("[fd00::/8]:8443", "fd12::1", 8443, True),
        ("[fd00::/8]:8443", "fd12::1", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", 443, True),
        ("8.8.8.8:25", "8.8.8.8", 25, True),
        ("8.8.8.8:25", "8.8.4.4", 25, False),
        # Credentials of the machine: never, whatever is allowed.
        ("0.0.0.0/0,::/0", "169.254.169.254", 80, False),
        ("169.254.169.254:80", "169.254.169.254", 80, False),
        ("169.254.0.0/16", "169.254.170.2", 80, False),
        ("0.0.0.0/0,::/0", "168.63.129.16", 80, False),
        ("fd00::/8", "fd00:ec2::254", 80, False),
        ("0.0.0.0/0,::/0", "::ffff:169.254.169.254", 80, False),
        ("0.0.0.0/0,::/0", "64:ff9b::a9fe:a9fe", 80, False),
        ("0.0.0.0/0,::/0", "2002:a9fe:a9fe::", 80, False),
        ("0.0.0.0/0,::/0", "2001:0:4136:e378:8000:63bf:5601:5601", 80, False),  # Teredo, which inverts it
    ],
)
def test_the_allow_list_opens_what_it_names(allow: str, address: str, port: int, may: bool) -> None:
    assert vet(address, port, parse_allow_targets(allow)) is may


@pytest.mark.parametrize("port", [0, 1, 21, 22, 25, 81, 1023, 2375, 3306, 5432, 6379, 9200, 10250, 11211, 27017, 65536])
def test_ports_of_internal_services_are_refused(port: int) -> None:
    assert refusal("8.8.8.8", port) == "port"
    with pytest.raises(Invalid, match="port"):
        check_url(f"https://example.com:{port}/")


def test_allow_targets_are_parsed() -> None:
    assert parse_allow_targets("") == Allowed()
    assert parse_allow_targets(" 10.0.0.0/8 , [fd00::1]:443,::1").private == (
        Allow(IPv4Network("10.0.0.0/8")),
        Allow(IPv6Network("fd00::1"), 443),
        Allow(IPv6Network("::1")),
    )


@pytest.mark.parametrize(
    "item",
    ["10.0.0.1/8", "10.0.0.0/33", "example.com", "10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:x",
     "10.0.0.0/8:٣", "[fd00::1]443", "[fd00::1]:", "[fd00::1", "fd00::1:443:x", "1.2.3.4:-1"],
)  # fmt: skip
def test_a_bad_allow_target_is_named(item: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_allow_targets(f"10.0.0.0/8,{item}")
    assert caught.value.field == "TOCSIN_ALLOW_TARGETS"
    assert item in caught.value.found
    assert "cidr" in caught.value.expected


# S1-14, S12, S13
EVIL_URLS = [
    line.split("\t")[0].replace("\\t", "\t")
    for line in (SHARED / "data/ssrf/evil_urls.tsv").read_text().splitlines()[1:]
]


def test_the_table_of_evil_urls_is_there() -> None:
    assert len(EVIL_URLS) >= 50


@pytest.mark.parametrize("url", EVIL_URLS)
def test_an_evil_url_is_refused_on_save(url: str) -> None:
    """Plain http is reason enough for most of them; the next test asks the same with https."""
    with pytest.raises(Invalid) as caught:
        check_url(url)
    assert caught.value.field == "webhook_url"
    assert url not in caught.value.detail


# Names that are only known to be evil once they are looked up; test_http has them refused at connect.
RESOLVED = {
    "127.0.0.1.nip.io",
    "169.254.169.254.sslip.io",
    "spoofed.evil.test",
    "aaaa.evil.test",
    "ip6-localhost",
    "evil.test",
}


@pytest.mark.parametrize("url", [url for url in EVIL_URLS if url.startswith("http://")])
def test_an_evil_url_is_refused_with_https_too(url: str) -> None:
    url = url.replace("http://", "https://", 1)
    if url.split("/")[2] in RESOLVED:
        assert check_url(url).host in RESOLVED
    else:
        with pytest.raises(Invalid):
            check_url(url)


@pytest.mark.parametrize(
    "url, says",
    [
        ("", "scheme"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("ftp://example.com/", "scheme"),
        ("https:/example.com", "scheme"),
        ("https://example.com:/", "port"),
        ("https://example.com:0443/", "port"),
        ("https://example.com:443:443/", "port"),
        ("https://example.com:+443/", "port"),
        ("https://example.com./", "host name"),
        ("https://example..com/", "host name"),
        ("https://-example.com/", "host name"),
        ("https://exa%6dple.com/", "host name"),
        ("https://exämple.com/", "ASCII"),
        ("https://example.com/ä", "ASCII"),
        ("https://example.com/a b", "space"),
        ("https://example.com/\r\nHost: x", "control"),
        ("https://example.com\\@evil.com/", "backslash"),
        ("https://user:pass@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com?a#b@c", "fragment"),
        (f"https://{'a' * 64}.com/", "host name"),
        (f"https://{'a.' * 127}com/", "host name"),
        ("https://0x7f.1/", "written plainly"),
        ("https://127.1/", "written plainly"),
        ("https://2130706433/", "written plainly"),
        ("https://0177.0.0.1/", "written plainly"),
        ("https://1.2.3.4.5/", "written plainly"),
        ("https://example.0x10/", "written plainly"),
        ("https://[fe80::1%25eth0]/", "written plainly"),
        ("https://[::1/", "IPv6"),
        ("https://[2606:4700::1111]443/", "IPv6"),
        ("https://[8.8.8.8]/", "written plainly"),
        ("https://localhost/", "this machine"),
        ("https://LocalHost/", "this machine"),
        ("https://a.localhost/", "this machine"),
        ("https://printer.local/", "internal"),
        ("https://api.internal/", "internal"),
        ("https://metadata.google.internal/", "metadata"),
        ("https://127.0.0.1/", "not public"),
        ("https://[::ffff:8.8.8.8]/", "not public"),
        ("http://example.com/", "http"),
        ("http://8.8.8.8/", "http"),
    ],
)
def test_a_bad_url_says_what_is_wrong_and_not_what_it_is(url: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_url(url)
    assert says in caught.value.found + " " + caught.value.expected
    assert "example.com" not in caught.value.detail


def test_a_url_is_kept_to_the_byte() -> None:
    # S1-14: a Teams URL is signed over its query, so that not one escape may change.
    target = (
        "/workflows/a%2Fb/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2frun&sig=a-B_%2B=//x?"
    )
    assert check_url("HTTPS://Prod-01.Logic.Azure.com:443" + target) == ParsedUrl(
        "https", "prod-01.logic.azure.com", 443, target
    )
    assert check_url("https://example.com").target == "/"
    assert check_url("https://example.com?a=b/c").target == "/?a=b/c"
    assert check_url("https://[2606:4700:0::1111]:8443/").host == "2606:4700::1111"
    assert check_url("https://xn--exmple-cua.com/").host == "xn--exmple-cua.com"
    assert "sig" not in repr(check_url("https://example.com/?sig=1"))


def test_a_url_is_bounded() -> None:
    base = "https://example.com/"
    assert check_url(base + "a" * (2048 - len(base))).host == "example.com"
    with pytest.raises(Invalid, match="2049"):
        check_url(base + "a" * (2049 - len(base)))


@pytest.mark.parametrize(
    "allow, url, may",
    [
        ("127.0.0.1:9000", "http://127.0.0.1:9000/x", True),
        ("127.0.0.1:9000", "https://127.0.0.1:9000/x", True),
        ("127.0.0.1:9000", "http://127.0.0.1:9001/x", False),
        ("127.0.0.1:9000", "http://localhost:9000/x", True),
        ("127.0.0.1:9000", "http://localhost:9001/x", False),
        ("127.0.0.1:9000", "http://a.localhost:9000/x", False),
        ("127.0.0.0/8", "http://127.0.0.1/x", True),
        ("127.0.0.0/8", "http://127.0.0.1:6379/x", False),
        ("127.0.0.1:6379", "http://127.0.0.1:6379/x", True),
        ("[::1]:9000", "http://[::1]:9000/x", True),
        ("10.0.0.0/8", "http://mattermost.internal/x", False),  # a name may turn out public, so it needs TLS
        ("10.0.0.0/8", "https://mattermost.internal/x", True),
        ("10.0.0.0/8", "https://mattermost.internal:5432/x", False),
        ("10.0.0.1:5432", "https://mattermost.internal:5432/x", True),
        ("10.0.0.0/8", "http://example.com/", False),
        ("0.0.0.0/0", "http://169.254.169.254/", False),
        ("0.0.0.0/0", "https://metadata.google.internal/", False),
    ],
)
def test_plain_http_and_private_names_need_the_allow_list(allow: str, url: str, may: bool) -> None:
    if may:
        assert check_url(url, parse_allow_targets(allow)).target == "/x"
    else:
        with pytest.raises(Invalid):
            check_url(url, parse_allow_targets(allow))


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://", "https://[", "https://a:", "//"]))
def test_any_text_is_a_url_or_invalid(text: str, start: str) -> None:
    try:
        parsed = check_url(start + text, EVERYTHING)
    except Invalid:
        return
    assert parsed.target.startswith("/")
    assert parsed.target.isprintable()


def test_what_the_table_calls_public_is_public_to_python_too() -> None:
    """A guard against typing errors in the tables above."""
    assert all(ip_address(address).is_global for address in PUBLIC if address not in {"3ffe::1"})
