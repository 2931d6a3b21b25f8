"""TOCSIN_BUS_URL: what it may be, and what is said where it is not."""

import pytest

from tests.harness import Start
from tocsin.model.bus import BusAddress
from tocsin.model.errors import Invalid
from tocsin.outbound.bus.address import parse_bus_urls
from tocsin.settings import SettingsError


def test_several_addresses_with_several_hosts() -> None:
    found = parse_bus_urls(
        "nats://me:p%2Css%40@a,b:4333/EVENTS?tenant=acme&consumer=c, kafka+tls://[::1]:9/t?group=g,redis://h/s,amqps://h/q"
    )
    assert found == [
        BusAddress("nats", False, ("a:4222", "b:4333"), "me", "p,ss@", "EVENTS", "acme", {"consumer": "c"}),
        BusAddress("kafka", True, ("[::1]:9",), "", "", "t", "default", {"group": "g"}),
        BusAddress("redis", False, ("h:6379",), "", "", "s"),
        BusAddress("amqp", True, ("h:5671",), "", "", "q"),
    ]
    assert "p,ss" not in repr(found[0])
    assert parse_bus_urls("  ") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://h/q", "one of nats"),
        ("me:s3cr3t@h/q", "one of nats"),
        ("nats://h", "host:port/stream"),
        ("nats://h:4222/", "host:port/stream"),
        ("kafka://me:s3cr3t@h o/t", "host:port"),
        ("redis://h/s?grup=a", "tenant, group, db, idle"),
        ("redis://h/s?db=x", "a whole number"),
        ("redis://h/s?group=", "a name"),
        ("nats://h/S,nats://h/S", "each stream, topic or queue once"),
        ("nats://me:s3cr3t@h/S#x", "host:port/stream"),
        ("nats://me:s3@cr3t@h/S", "host:port/stream"),
    ],
)
def test_what_is_wrong_is_named_without_the_password(text: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_bus_urls(text)
    assert said in caught.value.detail
    assert caught.value.field.startswith("TOCSIN_BUS_URL, address ")
    assert "cr3t" not in caught.value.detail


@pytest.mark.anyio
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_client_that_is_missing_is_named_with_what_brings_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aio_pika", None)
    monkeypatch.delitem(__import__("sys").modules, "tocsin.outbound.bus.rabbitmq", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'tocsin\[rabbitmq\]'"):
        await start(TOCSIN_BUS_URL="amqp://h/q")
    with pytest.raises(SettingsError, match=r"TOCSIN_BUS_URL, address 1: expected an address"):
        await start(TOCSIN_BUS_URL="http://h/q")
