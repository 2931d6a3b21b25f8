"""Whoever runs Tocsin: tenants, and nothing of what is theirs."""

import pytest

from tests.harness import Client, Running
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio


async def made(tocsin: Running, id_: str = "ml", **fields: object) -> tuple[Client, Client]:
    """An operator, and the first admin of a new tenant."""
    operator = await tocsin.operator()
    body = {"id": id_, "name": "Machine learning", "admin": "ana"} | fields
    tenant = (await operator.post("/v1/tenants", body)).ok(201)
    return operator, operator.with_token(tenant["token"])


async def test_a_tenants_life(tocsin: Running) -> None:
    operator, ana = await made(tocsin)
    me = (await ana.get("/v1/me")).ok()
    assert (me["tenant_id"], me["user_id"], me["role"]) == ("ml", "ana", "admin")
    assert me["expires_at"] is not None
    again = {"id": "ml", "name": "again"}
    (await operator.post("/v1/tenants", again)).problem(409)
    assert (await operator.patch("/v1/tenants/ml", {"name": "ML"})).ok()["name"] == "ML"
    listed = (await operator.get("/v1/tenants")).ok()["items"]
    assert [(one["id"], one["name"], one["is_suspended"]) for one in listed] == [
        ("default", "Default", False), ("ml", "ML", False),
    ]  # fmt: skip
    (await operator.delete("/v1/tenants/ml")).ok(204)
    tocsin.clock.move(1)
    assert "deleted" in (await ana.get("/v1/me")).problem(401)["detail"]
    (await operator.get("/v1/tenants/ml")).problem(404)
    (await operator.post("/v1/tenants", again)).problem(409)
    (await operator.delete("/v1/tenants/default")).problem(409)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"id": "", "name": "x"}, "id"), ({"id": "_operator", "name": "x"}, "id"), ({"id": "a b", "name": "x"}, "id"),
     ({"id": "a" * 65, "name": "x"}, "id"), ({"id": "a"}, "name"), ({"id": "a", "name": "x", "admin": " "}, "admin")],
)  # fmt: skip
async def test_tenants_that_cannot_be(standing: Running, body: dict[str, object], field: str) -> None:
    (await (await standing.operator()).post("/v1/tenants", body)).problem(400, field)


async def test_the_operators_own_place_is_no_tenant(tocsin: Running) -> None:
    operator = await tocsin.operator()
    for answer in (
        await operator.get("/v1/tenants/_operator"),
        await operator.patch("/v1/tenants/_operator", {"name": "x"}),
        await operator.post("/v1/tenants/_operator/suspend"),
        await operator.delete("/v1/tenants/_operator"),
    ):
        answer.problem(404)


async def test_the_operator_sees_nothing_of_a_tenants(tocsin: Running) -> None:
    operator = await tocsin.operator()
    for route in ROUTES:
        if route.role in ("viewer", "developer", "admin"):
            answer = await operator.request(route.method, route.path.replace("{", "").replace("}", ""), {})
            assert answer.status == 403, (route.method, route.path, answer.body)


async def test_an_admin_is_no_operator(tocsin: Running) -> None:
    for route in ROUTES:
        if route.role == "operator":
            path = route.path.replace("{tenant}", "default")
            answer = await tocsin.client.request(route.method, path, {"name": "mine"})
            assert "operator" in answer.problem(403)["detail"]


async def test_a_suspended_tenant(tocsin: Running) -> None:
    operator, ana = await made(tocsin)
    failing, hook = tocsin.receiver.hook("/failing"), tocsin.receiver.hook("/hook")
    await tocsin.webhook(failing, ana, enabled_events=["run.failed"])
    failing.always(500)
    await tocsin.send(ana)
    await tocsin.settle()
    assert len(failing.all_new()) == 1
    suspended = (await operator.post("/v1/tenants/ml/suspend")).ok()
    assert suspended["is_suspended"]
    assert (await operator.post("/v1/tenants/ml/suspend")).ok() == suspended
    failing.always(200)
    await tocsin.move(3600)
    failing.expect(0)
    assert "suspended" in (await ana.get("/v1/me")).problem(403)["detail"]
    assert "suspended" in (await ana.post("/v1/events", {"type": "run.failed"})).problem(403)["detail"]
    others = await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    assert others["is_active"]
    (await operator.post("/v1/tenants/ml/resume")).ok()
    await tocsin.move(1)
    assert len(failing.all_new()) == 1
    (await ana.get("/v1/me")).ok()


async def test_what_the_clock_finds_in_a_suspended_tenant_waits_too(tocsin: Running) -> None:
    operator, ana = await made(tocsin)
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, ana)
    await tocsin.rule(webhook, client=ana, event_types=["run.exceeded"], watch={"exceeded_s": 60})
    await tocsin.send(ana, type="run.started", pipeline="p", run_id="r")
    (await operator.post("/v1/tenants/ml/suspend")).ok()
    await tocsin.move(61)
    hook.expect(0)
    (await operator.post("/v1/tenants/ml/resume")).ok()
    await tocsin.move(1)
    hook.expect(1)


async def test_both_trails_tell_of_it(tocsin: Running) -> None:
    operator, ana = await made(tocsin)
    (await operator.post("/v1/tenants/ml/suspend")).ok()
    (await operator.post("/v1/tenants/ml/resume")).ok()
    told = [one["action"] for one in (await ana.get("/v1/audit")).ok()["items"]][::-1]
    assert told == ["tenant.create", "token.create", "tenant.suspend", "tenant.resume"]
