"""Secrets are shown once and kept sealed: a canary in each of them, and a search for it everywhere."""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.harness import Received, Reply, Running, Start
from tocsin.app import keyring_of
from tocsin.model.wire import HttpRequest
from tocsin.settings import read_settings
from tocsin.store import config
from tocsin.store.sealing import WrongKey

pytestmark = pytest.mark.anyio

IN_PATH = "canaryINpath8f3a21c0d9"
IN_QUERY = "canaryINquery77aa90b1"
IN_HEADER = "canaryINheader55cc12"
SIGNING = "whsec_" + base64.b64encode(b"canaryINsecret-0123456789abcdef!").decode()
NEXT_SIGNING = "whsec_" + base64.b64encode(b"canaryINrotated-0123456789abcdef").decode()
IN_SLACK = "canaryINslack0123456789a"


def echo(received: Received) -> Reply:
    """What a debugging receiver does: it answers with everything that it got."""
    everything = {"url": received.path, "headers": dict(received.headers), "body": received.body.decode()}
    return Reply(500, json.dumps(everything))


def padded_echo(received: Received) -> Reply:
    """With the secret across the place where the kept part of an answer ends."""
    return Reply(200, "x" * (2000 - 30) + f"path {received.path} and {received.headers['authorization']}")


async def everything_stored(tocsin: Running, folder: Path) -> bytes:
    dsn = tocsin.app.settings.database_url
    if not dsn:
        return b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.name.startswith("tocsin.db"))
    connection = await asyncpg.connect(dsn)
    try:
        found = b""
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        for (table,) in tables:
            for (row,) in await connection.fetch(f'SELECT t::text FROM "{table}" t'):
                found += row.encode() + b"\n"
                for part in row.split('"'):  # bytea is shown in hex
                    digits = part.removeprefix("\\\\x").removeprefix("\\x").rstrip(",)")
                    try:
                        found += bytes.fromhex(digits) + b"\n"
                    except ValueError:
                        continue
        return found
    finally:
        await connection.close()


async def test_canaries(
    tocsin: Running, tmp_path: Path, logs: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    # S4-12 S1-14 S22 S05
    caplog.set_level(logging.DEBUG)
    client = tocsin.client
    hook = tocsin.receiver.hook(f"/in/{IN_PATH}/x?key={IN_QUERY}&rest=0123456789")
    hook.always(echo)
    fields: dict[str, Any] = {"secret": SIGNING, "headers": {"Authorization": f"Bearer {IN_HEADER}"}}
    webhook = await tocsin.webhook(hook, **fields)
    created = client.history[-1]
    await tocsin.rule(webhook, retry={"max_attempts": 2})
    slack = tocsin.receiver._added("hooks.slack.com", f"/services/T00000000/B00000000/{IN_SLACK}0123456789", "")
    slack.url = "https://hooks.slack.com" + slack.path
    slack.always(echo)
    await tocsin.webhook(slack, enabled_events=["*"])
    await tocsin.send(id="e1")
    await tocsin.wait_out()
    hook.always(padded_echo)
    await tocsin.send(id="e2")
    await tocsin.settle()
    hook.always(echo)
    for _ in range(5):
        await tocsin.send()
        await tocsin.settle()
    await tocsin.wait_out()
    hook.all_new()
    slack.all_new()
    # Everything that can be asked, and mistakes that hold a secret.
    (await client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    hook.expect(1)
    rotated = await client.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", {"secret": NEXT_SIGNING})
    rotated.ok()
    for delivery in await tocsin.deliveries():
        (await client.get(f"/v1/deliveries/{delivery['id']}")).ok()
    for path in ("/v1/webhooks", f"/v1/webhooks/{webhook['id']}", "/v1/events", "/v1/events/e1/why", "/v1/tokens"):
        (await client.get(path)).ok()
    (await client.get("/metrics"))
    (await client.patch(f"/v1/webhooks/{webhook['id']}", {"webhook_url": f"http://10.0.0.1/{IN_PATH}"})).problem(400)
    (await client.patch(f"/v1/webhooks/{webhook['id']}", {"webhook_url": IN_PATH})).problem(400)
    (await client.patch(f"/v1/webhooks/{webhook['id']}", {"headers": {"X-A": f"{IN_HEADER}\n"}})).problem(400)
    (await client.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", {"secret": f"whsec_{IN_PATH}"})).problem(400)
    wrong = {"provider_type": "slack", "name": "x", "webhook_url": f"https://hooks.slack.com/x/{IN_SLACK}"}
    (await client.post("/v1/webhooks", wrong)).problem(400)
    hook.always(200)
    (await client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    await tocsin.wait_out()
    hook.all_new()
    slack.all_new()

    canaries = {
        *(text.encode() for text in (IN_PATH, IN_QUERY, IN_HEADER, SIGNING, NEXT_SIGNING, IN_SLACK, client.token)),
        base64.b64decode(SIGNING.removeprefix("whsec_")),
        base64.b64decode(NEXT_SIGNING.removeprefix("whsec_")),
    }
    # Not even the beginning of one, cut off where a text was cut.
    canaries |= {canary[:10] for canary in canaries if canary.startswith(b"canary")}

    def clean(what: str, where: bytes) -> None:
        found = [canary for canary in canaries if canary in where]
        assert not found, f"{what} has {found} in {where[max(0, where.find(found[0]) - 200) :][:400]!r}"

    assert SIGNING.encode() in created.body
    for answer in client.history:
        if answer is created:
            assert answer.body.count(SIGNING.encode()) == 1
            clean("the creation's answer", answer.body.replace(SIGNING.encode(), b""))
        elif answer is rotated:
            clean("the rotation's answer", answer.body.replace(NEXT_SIGNING.encode(), b""))
        else:
            clean("an answer", answer.body + repr(dict(answer.headers)).encode())
    clean("the log", repr(logs).encode())
    clean("the library's log", caplog.text.encode())
    stored = await everything_stored(tocsin, tmp_path / "data")
    assert b"webhook-timestamp" in stored, "the search looks at the right place"
    clean("the store", stored)


async def test_answers_keep_their_words_beside_what_is_masked(tocsin: Running) -> None:
    hook = tocsin.receiver.hook(f"/in/{IN_PATH}")
    await tocsin.rule(await tocsin.webhook(hook), retry={"max_attempts": 1})
    hook.always(Reply(500, f"no route for /in/{IN_PATH} (token {IN_PATH})"))
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    delivery = await tocsin.delivery()
    assert delivery["log"][0]["response_body"] == "no route for *** (token ***)"
    assert delivery["error_message"].startswith("HTTP 500: no route for *** (token ***)")


async def test_nothing_prints_its_secrets(tocsin: Running) -> None:
    """Not in a repr, and not in what `rich` and debuggers make of a value."""
    hook = tocsin.receiver.hook(f"/in/{IN_PATH}")
    webhook = await tocsin.webhook(
        hook, enabled_events=["*"], secret=SIGNING, headers={"Authorization": f"Bearer {IN_HEADER}"}
    )
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    opened = tocsin.app.deliver.opener.opened[webhook["id"]]
    sealed = await config.open_endpoint(tocsin.app.db, tocsin.app.keyring, "default", webhook["id"])
    request = HttpRequest("POST", hook.url, b"", (("Authorization", IN_HEADER),))
    for value in (opened, opened.target, sealed, *sealed.secrets, tocsin.app.settings, tocsin.app.keyring, request):
        shown = repr(value) + str(value) + f"{value}"
        rich = getattr(value, "__rich_repr__", lambda: ())
        shown += repr(list(rich()))
        for canary in (IN_PATH, IN_HEADER, SIGNING):
            assert canary not in shown, type(value)


async def test_another_key_is_refused_at_the_start(start: Start) -> None:
    # S4-12 S22: refused clearly, and nothing is changed
    await start(TOCSIN_SECRET_KEY=base64.b64encode(b"1" * 32).decode())
    with pytest.raises(WrongKey, match="TOCSIN_SECRET_KEY"):
        await start(TOCSIN_SECRET_KEY=base64.b64encode(b"2" * 32).decode())
    await start(TOCSIN_SECRET_KEY=base64.b64encode(b"1" * 32).decode())


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = read_settings({"TOCSIN_DATA_DIR": str(tmp_path / "data")})
    one, two = keyring_of(settings), keyring_of(settings)
    file = tmp_path / "data" / "secret.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert one._active == two._active
