"""The five things that people come for, by who they are: whoever may do it finds how; whoever may not is shown no way,
and is told why if they try."""

from dataclasses import dataclass

import pytest

from tests.harness import Running
from tests.web.browser import Browser, account_of, fields_of, set_up

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.proof)], indirect=True),
]

OWNER, OTHER = "owner", "developer"


@dataclass
class Scene:
    """The owner is a developer, whose endpoint has refused a message; another developer and a viewer look on."""

    people: dict[str, Browser]
    event: str
    delivery: str
    endpoint: str
    rule: str
    run: str


async def scene(tocsin: Running) -> Scene:
    people = {"admin": await set_up(tocsin)}
    for name, role in ((OWNER, "developer"), (OTHER, "developer"), ("viewer", "viewer")):
        await account_of(tocsin, f"{name}@example.com", role)
        people[name] = Browser(tocsin)
        (await people[name].log_in(f"{name}@example.com")).ok()
    hook = tocsin.receiver.hook("/gone")
    hook.always(410)
    body = {"provider_type": "webhook", "name": "Warehouse", "webhook_url": hook.url}
    endpoint = (await people[OWNER].api("POST", "/v1/webhooks", body)).ok(201)
    rule = {"name": "Failures", "event_types": ["run.failed"], "webhook_endpoint_ids": [endpoint["id"]]}
    made = (await people[OWNER].api("POST", "/v1/alert-rules", rule)).ok(201)
    event = await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    (delivery,) = (await people[OWNER].api("GET", "/v1/deliveries")).ok()["items"]
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    return Scene(people, event["id"], delivery["id"], endpoint["id"], made["id"], run["id"])


async def offered(person: Browser, path: str, offer: str) -> bool:
    page = await person.get(path)
    assert page.status == 200, (path, page.status)
    return offer in page.body.decode()


async def refused(person: Browser, path: str, said: str, **fields: str) -> None:
    """A POST with a token that is right, as from a page that was open while the role changed."""
    csrf = fields_of(await person.get("/account"))["csrf"]
    answer = await person.form(path, {"csrf": csrf} | fields)
    assert answer.status in (403, 404), (path, answer.status)
    assert said in answer.body.decode(), (path, answer.body[-900:])


TOO_LOW = "This page is for the role developer; yours is viewer."


async def test_connecting_an_endpoint(tocsin: Running) -> None:
    # S3-09, flow A
    at = await scene(tocsin)
    for name, person in at.people.items():
        may = name != "viewer"
        assert await offered(person, "/endpoints", "/endpoints/new") == may, name
        page = await person.get("/endpoints/new?type=slack")
        assert page.status == (200 if may else 403), name
        assert may or TOO_LOW in page.body.decode()
        sees = name in ("admin", OWNER)
        assert (await person.get(f"/endpoints/{at.endpoint}")).status == (200 if sees else 404), name
        assert await offered(person, "/endpoints", f"/endpoints/{at.endpoint}/test") == sees, name
    await refused(at.people["viewer"], "/endpoints/new", TOO_LOW, type="slack")
    await refused(at.people[OTHER], f"/endpoints/{at.endpoint}/test", "Not found")


async def test_why_somebody_was_not_told(tocsin: Running) -> None:
    # S3-09, flow B: everybody reads it; who may, sends it again
    at = await scene(tocsin)
    path = f"/events/{at.event}"
    for name, person in at.people.items():
        assert await offered(person, path, "Failures"), name
        assert await offered(person, path, f"{path}/again") == (name in ("admin", OWNER)), name
    await refused(at.people["viewer"], f"{path}/again", TOO_LOW, delivery=at.delivery)
    await refused(at.people[OTHER], f"{path}/again", "Not found", delivery=at.delivery)
    assert (await tocsin.client.get(f"/v1/deliveries/{at.delivery}")).ok()["status"] == "dead"


async def test_sending_again_what_failed(tocsin: Running) -> None:
    # S3-09, flow C: with the count that is theirs
    at = await scene(tocsin)
    for name, person in at.people.items():
        may = name in ("admin", OWNER)
        assert await offered(person, "/dead-letters", "Replay 1") == may, name
        page = await person.get("/deliveries/change?do=replay&q=status:dead")
        assert page.status == (403 if name == "viewer" else 200), name
        assert ("Replay: 1 delivery" in page.body.decode()) == may, name
    await refused(at.people["viewer"], f"/deliveries/{at.delivery}/replay", TOO_LOW)
    await refused(at.people[OTHER], f"/deliveries/{at.delivery}/replay", "Not found")


async def test_trying_and_saving_a_rule(tocsin: Running) -> None:
    # S3-09, flow D
    at = await scene(tocsin)
    path = f"/rules/{at.rule}"
    for name, person in at.people.items():
        assert await offered(person, "/rules", "/rules/new") == (name != "viewer"), name
        assert await offered(person, path, f"{path}/delete") == (name in ("admin", OWNER)), name
    assert TOO_LOW in (await at.people["viewer"].get("/rules/new")).body.decode()
    assert "Somebody else made this rule" in (await at.people[OTHER].get(path)).body.decode()
    await refused(at.people["viewer"], f"{path}/delete", TOO_LOW)
    await refused(
        at.people[OTHER], f"{path}/delete", "Somebody else made this rule: only they and admins may change it."
    )


async def test_silencing_a_pipeline(tocsin: Running) -> None:
    # S3-09, flow E: silences are the tenant's, whoever made them
    at = await scene(tocsin)
    for name, person in at.people.items():
        may = name != "viewer"
        assert await offered(person, f"/runs/{at.run}", "Silence pipeline") == may, name
        assert await offered(person, "/silences", "/silences/new") == may, name
    await refused(at.people["viewer"], "/silences", TOO_LOW, field="pipeline", op="is", value="etl")
    assert (await tocsin.client.get("/v1/silences")).ok()["items"] == []
