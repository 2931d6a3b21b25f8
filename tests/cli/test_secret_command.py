"""`tocsin secret`: values come from standard input and are never shown."""

import pytest

from tests.cli.conftest import Command
from tests.harness import Running

pytestmark = pytest.mark.anyio


async def test_set_list_delete(tocsin: Running, command: Command) -> None:
    # S4-12
    words = ("secret", "set", "TOKEN", "--description", "of the build")
    assert (await command(*words, stdin=b"canaryINnamed\n")).code == 0
    revealed = (await tocsin.client.post("/v1/secrets/TOKEN/reveal")).ok()
    assert revealed["value"] == "canaryINnamed"
    assert (await command("secret", "set", "TOKEN", "--usable-by", "developer", stdin=b"two\nlines\r\n")).code == 0
    assert (await tocsin.client.post("/v1/secrets/TOKEN/reveal")).ok()["value"] == "two\nlines"
    (shown,) = (await command("secret", "list", "-o", "json")).json
    assert (shown["name"], shown["usable_by"], shown["description"]) == ("TOKEN", "developer", "of the build")
    assert (await command("secret", "set", "TOKEN", stdin=b"a single line")).code == 0
    hook = tocsin.receiver.hook("/x")
    webhook = await tocsin.webhook(hook, name="on-call", headers={"X-A": "a secret:TOKEN"})
    assert webhook["name"] in (await command("secret", "list")).out
    done = await command("secret", "delete", "TOKEN")
    assert done.code == 2
    assert "on-call" in done.err
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    assert (await command("secret", "delete", "TOKEN")).code == 0
    assert (await command("secret", "list", "-o", "json")).json == []


@pytest.mark.parametrize("value", [b"", b"\n", b"\xff\xfe"])
async def test_values_that_are_none(command: Command, value: bytes) -> None:
    done = await command("secret", "set", "TOKEN", stdin=value)
    assert done.code == 2
    assert "Standard input" in done.err


async def test_a_refusal_is_told(command: Command) -> None:
    done = await command("secret", "set", "a b", stdin=b"canaryINnamed")
    assert done.code == 2
    assert "canary" not in done.out + done.err


async def test_a_name_stays_a_name_in_a_file(tocsin: Running, command: Command) -> None:
    hook = tocsin.receiver.hook("/x")
    await command("secret", "set", "URL", stdin=hook.url.encode())
    await tocsin.webhook("secret:URL")
    assert "webhook_url: secret:URL" in (await command("config", "export")).out
