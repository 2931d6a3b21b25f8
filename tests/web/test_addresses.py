"""Addresses that nothing may be sent to: refused when they are saved, and again when they are used.

evil_urls.tsv has tricks that got past the filters of others.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Running, Start
from tocsin.app import hint_of
from tocsin.outbound.http import Outbound
from tocsin.store import config

pytestmark = pytest.mark.anyio

EVIL = [line.split("\t")[0] for line in Path(__file__).with_name("evil_urls.tsv").read_text().splitlines()[1:]]
EVIL_HTTPS = [url.replace("http://", "https://", 1) for url in EVIL if url.startswith("http://")]
"""The same without what gives most of them away at once."""

ANSWERS = {
    "metadata.google.internal": ["169.254.169.254"],
    "spoofed.evil.test": ["93.184.215.14", "127.0.0.1"],
    "aaaa.evil.test": ["93.184.215.14", "::1"],
}
connections: list[tuple[Any, ...]] = []
watching = False


def watch(event: str, given: tuple[Any, ...]) -> None:
    if watching and event == "socket.connect":
        connections.append(given[1])


sys.addaudithook(watch)


@pytest.fixture
def packets() -> Iterator[list[tuple[Any, ...]]]:
    """Every address that something in this process connects to, from now on."""
    global watching
    connections.clear()
    watching = True
    yield connections
    watching = False


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every name there is leads inside."""
    return ANSWERS.get(host, ["127.0.0.1"])


async def guarded(start: Start) -> Running:
    """Without TOCSIN_ALLOW_TARGETS, and with a name server that is the attacker's."""
    tocsin = await start(TOCSIN_ALLOW_TARGETS="")
    await tocsin.app.outbound.http.close()
    tocsin.app.outbound.http = Outbound(resolve=resolve)
    return tocsin


def test_the_list_is_there() -> None:
    assert len(EVIL) >= 50
    assert len(EVIL_HTTPS) >= 45


async def test_evil_addresses_are_refused_when_they_are_saved(start: Start) -> None:
    # S1-14 S12
    tocsin = await guarded(start)
    webhook = await tocsin.webhook("https://example.com/good/path")
    for url in EVIL:
        body = {"provider_type": "webhook", "name": "evil", "webhook_url": url}
        for answer in (
            await tocsin.client.post("/v1/webhooks", body),
            await tocsin.client.post("/v1/webhooks", body | {"webhook_url": "", "settings": {"webhook_url": url}}),
            await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"webhook_url": url}),
        ):
            answer.problem(400, "webhook_url")
            said = answer.body.decode()
            assert url not in said, url
            host = url.partition("//")[2].strip("/")
            assert not host or host not in said, url
    items = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    assert [item["id"] for item in items] == [webhook["id"]]
    assert items[0]["webhook_url"] == hint_of("https://example.com/good/path")


async def test_evil_addresses_are_refused_wherever_one_is_given(start: Start) -> None:
    # S12: where a token is asked for, and a server of the provider's
    tocsin = await guarded(start)
    oauth = {"auth": "oauth2", "client_id": "x", "client_secret": "y"}
    bot = {"token": "t" * 26, "channel_id": "4xp9fdt77pncbef59f4k1qe83o"}
    webhook = {"provider_type": "webhook", "name": "evil", "webhook_url": "https://example.com/good"}
    for url in EVIL:
        for body, field in (
            (webhook | {"settings": oauth | {"token_url": url}}, "token_url"),
            ({"provider_type": "mattermost_bot", "name": "evil", "settings": bot | {"server_url": url}}, "server_url"),
        ):
            answer = await tocsin.client.post("/v1/webhooks", body)
            answer.problem(400, f"settings.{field}")
            assert url not in answer.body.decode(), url
    assert (await tocsin.client.get("/v1/webhooks")).ok()["items"] == []


async def test_evil_addresses_written_behind_our_back_are_not_reached(
    start: Start, packets: list[tuple[Any, ...]]
) -> None:
    # S12: on send too, and by the address that is dialled
    tocsin = await guarded(start)
    app = tocsin.app
    urls = [*EVIL, *EVIL_HTTPS]
    for url in urls:
        webhook = await tocsin.webhook("https://example.com/good/path", name=url[:200])
        await tocsin.rule(webhook, name=url[:200], retry={"max_attempts": 1})
        endpoint = await config.get_endpoint(app.db, "default", webhook["id"])
        async with app.db.transaction() as tx:
            await config.change_address(tx, app.keyring, endpoint, url, "…", tocsin.clock.now_ms)
            await tx.fetch("bump_config", {"tenant_id": "default"})
    packets.clear()
    await tocsin.send()
    await tocsin.settle()
    ours = {app.settings.port, int(tocsin.client.base.rpartition(":")[2])}
    if app.settings.database_url:
        ours.add(int(app.settings.database_url.rpartition(":")[2].partition("/")[0]))
    assert [address for address in packets if address[1] not in ours] == []
    deliveries = await tocsin.deliveries()
    assert len(deliveries) == len(urls)
    for delivery in deliveries:
        assert delivery["status"] == "dead"
        assert delivery["http_status_code"] is None
        assert delivery["reason"].partition(":")[0] in ("blocked", "invalid"), delivery["reason"]
        assert not any(url.partition("://")[2].strip("/") in delivery["reason"] for url in urls if len(url) > 16)


async def test_the_watch_sees_what_is_reached(tocsin: Running, packets: list[tuple[Any, ...]]) -> None:
    """Or the test before would prove nothing."""
    hook = tocsin.receiver.hook("/reached")
    await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    assert ("127.0.0.1", tocsin.receiver.port) in [tuple(address[:2]) for address in packets]


async def test_plain_http_only_where_it_is_allowed(start: Start) -> None:
    # S1-14: HTTPS only for custom webhooks
    tocsin = await start(TOCSIN_ALLOW_TARGETS="10.1.0.0/16:8080")
    body = {"provider_type": "webhook", "name": "x"}
    for url, status in (
        ("http://example.com/hook", 400),
        ("https://example.com/hook", 201),
        ("http://10.1.2.3:8080/hook", 201),
        ("https://10.1.2.3:8080/hook", 201),
        ("http://10.1.2.3/hook", 400),
        ("http://10.2.2.3:8080/hook", 400),
        ("https://127.0.0.1/hook", 400),
    ):
        answer = await tocsin.client.post("/v1/webhooks", body | {"webhook_url": url})
        assert answer.status == status, url


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("slack", "https://hooks.slack.com.evil.test/services/T00000000/B00000000/" + "x" * 24),
        ("slack", "https://evil.test/services/T00000000/B00000000/" + "x" * 24),
        ("slack", "http://hooks.slack.com/services/T00000000/B00000000/" + "x" * 24),
        ("slack", "https://hooks.slack.com/services/T00000000/B00000000/"),
        ("slack", "https://hooks.slack.com/services/T00000000/B00000000/" + "x" * 24 + "\n"),
        ("slack", "https://hooks.slack.com/services/T00000000/B00000000/" + "x" * 24 + "?a=b"),
        ("webhook", ""),
        ("webhook", "https://example.com/" + "x" * 2048),
        ("webhook", "https://example.com/\x00"),
        ("webhook", "https://example.com/ü"),
    ],
)
async def test_addresses_that_a_provider_has_not(standing: Running, kind: str, url: str) -> None:
    # S1-14
    answer = await standing.client.post("/v1/webhooks", {"provider_type": kind, "name": "x", "webhook_url": url})
    answer.problem(400, "webhook_url")
    assert b"x" * 24 not in answer.body


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Host": "internal"}, "headers.Host"),
        ({"Content-Length": "5"}, "headers.Content-Length"),
        ({"Transfer-Encoding": "chunked"}, "headers.Transfer-Encoding"),
        ({"webhook-id": "forged"}, "headers.webhook-id"),
        ({"Proxy-Authorization": "x"}, "headers.Proxy-Authorization"),
        ({"X-A": "b\r\nX-C: d"}, "headers.X-A"),
        ({"X-A": "b\x00"}, "headers.X-A"),
        ({"X A": "b"}, "headers"),
        ({"X-A": "x" * 8193}, "headers.X-A"),
        ({"X-A": "ü"}, "headers.X-A"),
    ],
)
async def test_headers_that_are_refused(standing: Running, headers: dict[str, str], field: str) -> None:
    # S14
    body = {"provider_type": "webhook", "name": "x", "webhook_url": "https://example.com/", "headers": headers}
    (await standing.client.post("/v1/webhooks", body)).problem(400, field)
    webhook = await standing.webhook("https://example.com/")
    (await standing.client.patch(f"/v1/webhooks/{webhook['id']}", {"headers": headers})).problem(400, field)


async def test_a_users_mail_server_is_checked_when_it_is_saved(start: Start) -> None:
    # S12: the operator's own may be private, a user's may not
    tocsin = await start(TOCSIN_ALLOW_TARGETS="10.1.0.0/16", SMTP_HOST="127.0.0.1", EMAIL_FROM_ADDRESS="a@example.com")
    body = {"provider_type": "email", "name": "x"}
    settings: dict[str, Any] = {"to": ["ana@example.com"]}
    (await tocsin.client.post("/v1/webhooks", body | {"settings": settings})).ok(201)
    for host in ("127.0.0.1", "localhost", "mail.localhost", "169.254.169.254", "10.2.0.1", "0.0.0.0"):
        given = settings | {"smtp_host": host, "smtp_port": 25, "from_address": "a@example.com"}
        answer = await tocsin.client.post("/v1/webhooks", body | {"settings": given})
        answer.problem(400, "settings.smtp_host")
        assert host not in answer.body.decode()
    for host in ("mail.example.com", "10.1.2.3"):
        given = settings | {"smtp_host": host, "smtp_port": 25, "from_address": "a@example.com"}
        (await tocsin.client.post("/v1/webhooks", body | {"settings": given})).ok(201)
    for url in ("https://10.0.0.1", "https://127.0.0.1:8065"):
        given = {"server_url": url, "token": "t" * 26, "channel_id": "4xp9fdt77pncbef59f4k1qe83o"}
        answer = await tocsin.client.post(
            "/v1/webhooks", {"provider_type": "mattermost_bot", "name": "x", "settings": given}
        )
        answer.problem(400, "settings.server_url")
