"""http.Request, against a real server and through the real guard."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.flows.test_engine import World, flow
from tests.harness import Receiver, Reply
from tocsin.flows.engine import execute
from tocsin.flows.execution import Execution
from tocsin.flows.reading import read_flow
from tocsin.flows.tasks import HANDLERS
from tocsin.model import wire
from tocsin.outbound.address_guard import parse_allow_targets
from tocsin.outbound.http import Outbound

pytestmark = pytest.mark.anyio


class Wired(World):
    def __init__(self, outbound: Outbound) -> None:
        super().__init__()
        self.outbound = outbound

    async def send(self, request: wire.Request, timeout_s: float) -> wire.Reply:
        assert isinstance(request, wire.HttpRequest)
        return await self.outbound.send(request, timeout_s)


@pytest.fixture
async def outbound(anyio_backend: Any) -> AsyncIterator[Outbound]:
    async with Outbound(allow=parse_allow_targets("127.0.0.0/8")) as found:
        yield found


async def requested(outbound: Outbound, **given: Any) -> Execution:
    text = flow("  - " + json.dumps({"id": "r", "type": "io.kestra.plugin.core.http.Request"} | given))
    execution = Execution(read_flow("f.yml", text), Wired(outbound), id_="e", inputs={}, secrets={"KEY": "s3cr3t"})
    await execute(execution, HANDLERS)
    return execution


async def test_what_is_sent_and_what_comes_of_it(outbound: Outbound, receiver: Receiver) -> None:
    hook = receiver.hook("/a?day=1&q=x+y")
    hook.always(Reply(201, '{"rows": 7}', {"x-kind": "test"}))
    done = await requested(
        outbound,
        uri=hook.url.split("?")[0] + "?day=1",
        params={"q": "x y"},
        method="PUT",
        headers={"x-key": "{{ secret('KEY') }}"},
        body={"name": "{{ flow.id }}"},
        options={"auth": {"type": "BASIC", "username": "u", "password": "p"}},
    )
    (got,) = hook.expect(1)
    assert (got.method, got.json, got.headers["x-key"]) == ("PUT", {"name": "f"}, "s3cr3t")
    assert (got.headers["content-type"], got.headers["authorization"]) == ("application/json", "Basic dTpw")
    assert done.state == "SUCCESS"
    found = done.outputs["r"]
    assert (found["code"], found["body"], found["headers"]["x-kind"]) == (201, '{"rows": 7}', ["test"])
    assert "s3cr3t" not in done.log_tail


async def test_a_form_and_a_redirect(outbound: Outbound, receiver: Receiver) -> None:
    old, new = receiver.hook("/old"), receiver.hook("/new", "127.0.0.2")
    old.always(Reply(302, "", {"location": new.url}))
    options = {"auth": {"type": "BEARER", "token": "t"}}
    done = await requested(outbound, uri=old.url, method="POST", formData={"a": 1, "b": "ä"}, options=options)
    (first,), (second,) = old.expect(1), new.expect(1)
    assert first.body == b"a=1&b=%C3%A4"
    assert (second.method, second.body, "authorization" in second.headers) == ("GET", b"", False)
    assert done.outputs["r"]["uri"] == new.url
    done = await requested(outbound, uri=old.url, options={"followRedirects": False})
    assert done.outputs["r"]["code"] == 302
    old.expect(1)


async def test_what_fails_says_why(outbound: Outbound, receiver: Receiver) -> None:
    hook = receiver.hook("/a")
    hook.always(Reply(503, "away for lunch"))
    done = await requested(outbound, uri=hook.url)
    assert (done.state, done.errors) == ("FAILED", ["HTTP 503 from 127.0.0.1: away for lunch"])
    assert (await requested(outbound, uri=hook.url, options={"allowFailed": True})).state == "SUCCESS"
    hook.expect(2)
    for given, said in (
        ({"uri": "http://10.0.0.1/"}, "TOCSIN_ALLOW_TARGETS"),
        ({"uri": "file:///etc/passwd"}, "http"),
        ({"uri": hook.url, "method": "BREW"}, "method: expected one of GET"),
        ({"uri": hook.url, "options": {"readTimeout": "PT1H"}}, "a timeout of at most 300 s"),
        ({"uri": hook.url, "headers": "x"}, "headers: expected names with values"),
        ({"uri": hook.url, "options": {"auth": {"type": "MAGIC"}}}, "expected BASIC or BEARER"),
    ):
        done = await requested(outbound, **given)
        assert (done.state, said in done.errors[0]) == ("FAILED", True), done.errors


async def test_a_redirect_cannot_lead_inside(outbound: Outbound, receiver: Receiver) -> None:
    hook = receiver.hook("/a")
    hook.always(Reply(302, "", {"location": "http://169.254.169.254/latest/meta-data"}))
    done = await requested(outbound, uri=hook.url)
    assert done.state == "FAILED"
    assert "169.254" not in done.log_tail
    hook.expect(1)
