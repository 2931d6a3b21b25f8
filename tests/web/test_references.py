"""Every place in the API that takes an id: one of another tenant's is answered as one that does not exist, to the byte,
and nothing of the other tenant is ever in an answer."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Client, Hook, Running
from tocsin.web.openapi import document
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio

WEBHOOK, RULE, EVENT, DELIVERY, SILENCE, TOKEN, RUN, USER, SECRET, SOURCE = (
    "WEBHOOK", "RULE", "EVENT", "DELIVERY", "SILENCE", "TOKEN", "RUN", "USER", "SECRET", "SOURCE",
)  # fmt: skip
NAMED = {"name": "x"}
HOOK = {"provider_type": "webhook", "name": "x", "webhook_url": "http://127.0.0.1:9000"}
ALERTS = "/v1/alert-rules"
OWN_RULE = f"{ALERTS}/OWN"

REFERENCES: list[tuple[str, str, Any, str]] = [
    ("GET", f"/v1/deliveries?webhook_id={WEBHOOK}", None, "?webhook_id"),
    ("GET", f"/v1/deliveries?rule_id={RULE}", None, "?rule_id"),
    ("GET", f"/v1/deliveries?event_id={EVENT}", None, "?event_id"),
    ("GET", f"/v1/deliveries?folded_into={DELIVERY}", None, "?folded_into"),
    ("GET", f"/v1/deliveries?cursor={DELIVERY}", None, "?cursor"),
    ("GET", f"/v1/stats/deliveries?webhook_id={WEBHOOK}", None, "?webhook_id"),
    ("GET", f"/v1/stats/deliveries?rule_id={RULE}", None, "?rule_id"),
    ("GET", f"/v1/deliveries/export?webhook_id={WEBHOOK}", None, "?webhook_id"),
    ("GET", f"/v1/deliveries/export?rule_id={RULE}", None, "?rule_id"),
    ("GET", f"/v1/deliveries/export?event_id={EVENT}", None, "?event_id"),
    ("GET", f"/v1/deliveries/export?folded_into={DELIVERY}", None, "?folded_into"),
    ("GET", f"/v1/deliveries/export?cursor={DELIVERY}", None, "?cursor"),
    ("GET", f"/v1/events/export?run_id={RUN}", None, "?run_id"),
    ("GET", f"/v1/events/export?cursor={EVENT}", None, "?cursor"),
    ("GET", f"/v1/events?run_id={RUN}", None, "?run_id"),
    ("GET", f"/v1/events?cursor={EVENT}", None, "?cursor"),
    ("GET", f"/v1/runs?run_id={RUN}", None, "?run_id"),
    ("GET", f"/v1/runs?parent_run_id={RUN}", None, "?parent_run_id"),
    ("GET", "/v1/runs?cursor=zz", None, "?cursor"),
    ("GET", f"/v1/webhooks?cursor={WEBHOOK}", None, "?cursor"),
    ("GET", f"{ALERTS}?cursor={RULE}", None, "?cursor"),
    ("GET", f"/v1/stats/endpoints?ids={WEBHOOK}", None, "?ids"),
    ("GET", f"/v1/webhooks/names?ids={WEBHOOK}", None, "?ids"),
    ("GET", f"/v1/webhooks/names?cursor={WEBHOOK}", None, "?cursor"),
    ("GET", f"{ALERTS}?webhook_id={WEBHOOK}", None, "?webhook_id"),
    ("GET", f"{ALERTS}/names?ids={RULE}", None, "?ids"),
    ("GET", f"{ALERTS}/names?cursor={RULE}", None, "?cursor"),
    ("GET", f"/v1/silences?cursor={SILENCE}", None, "?cursor"),
    ("GET", f"/v1/tokens?cursor={TOKEN}", None, "?cursor"),
    ("GET", f"/v1/inbox?cursor={DELIVERY}", None, "?cursor"),
    ("GET", f"/v1/sources?cursor={SOURCE}", None, "?cursor"),
    ("GET", "/v1/bus/refused?cursor=zz", None, "?cursor"),
    ("GET", f"/v1/sources/{SOURCE}", None, "path"),
    ("PATCH", f"/v1/sources/{SOURCE}", {"name": "mine"}, "path"),
    ("POST", f"/v1/sources/{SOURCE}/rotate", None, "path"),
    ("DELETE", f"/v1/sources/{SOURCE}", None, "path"),
    ("GET", f"/v1/audit?id={WEBHOOK}", None, "?id"),
    ("GET", f"/v1/audit?token_id={TOKEN}", None, "?token_id"),
    ("GET", f"/v1/audit/actors?ids={USER}", None, "?ids"),
    ("GET", f"/v1/tokens?user_id={USER}", None, "?user_id"),
    ("POST", "/v1/deliveries/replay", {"webhook_id": WEBHOOK, "status": ["delivered"]}, "webhook_id"),
    ("POST", "/v1/deliveries/replay", {"rule_id": RULE, "status": ["delivered"]}, "rule_id"),
    ("POST", "/v1/deliveries/replay", {"ids": [DELIVERY], "status": ["dead"]}, "ids"),
    ("POST", "/v1/deliveries/discard", {"ids": [DELIVERY], "status": ["dead"]}, "ids"),
    ("POST", "/v1/deliveries/discard", {"webhook_id": WEBHOOK}, "webhook_id"),
    ("POST", "/v1/deliveries/discard", {"rule_id": RULE}, "rule_id"),
    ("POST", "/v1/deliveries/cancel", {"ids": [DELIVERY], "dry_run": True}, "ids"),
    ("POST", "/v1/deliveries/cancel", {"ids": [DELIVERY], "expected": 1}, "ids"),
    ("POST", "/v1/deliveries/cancel", {"webhook_id": WEBHOOK, "expected": 0}, "webhook_id"),
    ("POST", "/v1/deliveries/cancel", {"rule_id": RULE, "expected": 0}, "rule_id"),
    ("POST", "/v1/webhooks/bulk", {"action": "delete", "ids": [WEBHOOK], "expected": 0}, "ids"),
    ("POST", "/v1/webhooks/bulk", {"action": "delete", "ids": [WEBHOOK], "expected": 1}, "ids"),
    ("POST", f"{ALERTS}/bulk", {"action": "delete", "ids": [RULE], "expected": 1}, "ids"),
    ("POST", f"{ALERTS}/bulk", {"action": "delete", "webhook_id": WEBHOOK, "expected": 1}, "webhook_id"),
    ("POST", "/v1/silences/bulk", {"action": "end", "ids": [SILENCE], "expected": 1}, "ids"),
    ("POST", "/v1/silences/bulk", {"action": "end", "created_by": USER, "expected": 1}, "created_by"),
    ("POST", "/v1/webhooks/preview", {"webhook_id": WEBHOOK, "sample": "failed"}, "webhook_id"),
    ("POST", "/v1/webhooks/preview", {"provider_type": "slack", "event_id": EVENT}, "event_id"),
    ("POST", "/v1/webhooks", HOOK | {"headers": {"x-key": f"secret:{SECRET}"}}, "headers"),
    ("POST", ALERTS, NAMED | {"webhook_endpoint_ids": [WEBHOOK]}, "webhook_endpoint_ids"),
    ("POST", ALERTS, NAMED | {"webhook_endpoint_id": WEBHOOK}, "webhook_endpoint_id"),
    ("PATCH", OWN_RULE, {"webhook_endpoint_ids": [WEBHOOK]}, "webhook_endpoint_ids"),
    ("PATCH", OWN_RULE, {"webhook_endpoint_id": WEBHOOK}, "webhook_endpoint_id"),
    ("POST", f"{ALERTS}/preview", NAMED | {"webhook_endpoint_ids": [WEBHOOK]}, "webhook_endpoint_ids"),
    ("POST", f"{ALERTS}/preview", NAMED | {"webhook_endpoint_id": WEBHOOK}, "webhook_endpoint_id"),
    ("POST", f"{OWN_RULE}/preview", {"webhook_endpoint_ids": [WEBHOOK]}, "webhook_endpoint_ids"),
    ("POST", f"{OWN_RULE}/preview", {"webhook_endpoint_id": WEBHOOK}, "webhook_endpoint_id"),
    ("POST", f"{OWN_RULE}/test", {"type": "run.failed", "id": EVENT, "pipeline": "p", "run_id": RUN}, "run_id"),
    ("POST", "/v1/config/compare", {"endpoints": [{"id": WEBHOOK, "provider_type": "webhook", "name": "x"}]}, "id"),
    (
        "POST",
        "/v1/config/preview",
        {
            "endpoints": [HOOK | {"id": WEBHOOK}],
            "rules": [NAMED | {"id": RULE, "webhook_endpoint_ids": [WEBHOOK], "event_types": ["run.failed"]}],
            "deleted": [RULE, WEBHOOK],
        },
        "deleted",
    ),
    (
        "POST",
        "/v1/config/preview",
        {"pipelines": [{"name": "p", "notifications": [{"webhook_id": WEBHOOK}]}]},
        "webhook_id",
    ),
    ("PUT", "/v1/pipelines/p/notifications", {"notifications": [{"webhook_id": WEBHOOK}]}, "webhook_id"),
    ("POST", "/v1/silences/preview", {"matchers": [{"field": "rule", "value": RULE}]}, "matchers"),
    ("POST", "/v1/silences/preview", {"matchers": [{"field": "endpoint", "value": WEBHOOK}]}, "matchers"),
    ("GET", f"/v1/members/{USER}", None, "path"),
    ("PATCH", f"/v1/members/{USER}", {"role": "viewer"}, "path"),
    ("DELETE", f"/v1/members/{USER}", None, "path"),
    ("POST", f"/v1/members/{USER}/sign-in-link", None, "path"),
    ("GET", f"/v1/secrets/{SECRET}", None, "path"),
    ("PUT", f"/v1/secrets/{SECRET}", {"value": "mine"}, "path"),
    ("DELETE", f"/v1/secrets/{SECRET}", None, "path"),
    ("POST", f"/v1/secrets/{SECRET}/reveal", None, "path"),
]
"""Method, path and body, with the word for what is referred to; and the field that is meant."""

NO_REFERENCE = {
    "id of a new event": {"POST /v1/events id", "POST /v1/events events[].id", "POST /v1/alert-rules/{id}/test id"},
    "part of a new event; runs are the tenant's": {"POST /v1/events run_id", "POST /v1/events events[].run_id"},
    "one's own user id, any other is refused": {
        "PUT /v1/preferences user_id", "PUT /api/v1/notifications/preferences user_id",
        "PUT /v1/config/preferences/{user} user_id",
    },
    "makes the member where there is none; test_members.py": {"POST /v1/tokens user_id", "POST /v1/members user_id"},
    "the operator's": {"POST /v1/tenants id", "GET /v1/tenants ?cursor"},
    "tenants of one's own memberships; test_sessions.py": {
        "POST /auth/login tenant_id", "PATCH /auth/session tenant_id",
    },
    "a name, encoded, or a number: nothing is looked up by it": {
        "GET /v1/secrets ?cursor", "GET /v1/pipelines ?cursor", "GET /v1/members ?cursor", "GET /v1/audit ?cursor",
        "GET /api/v1/notifications/admin/preferences ?cursor",
    },
}  # fmt: skip
"""Fields that look like ids and refer to nothing, by the reason."""

LIKE_AN_ID = re.compile(r"(^|[._?])(id|ids|user|user_id|created_by|cursor|folded_into)$|_ids?$|^deleted$")


def fields_of(schema: dict[str, Any], schemas: dict[str, Any], seen: frozenset[str], path: str) -> Iterator[str]:
    if name := schema.get("$ref", "").rpartition("/")[2]:
        if name not in seen:
            yield from fields_of(schemas[name], schemas, seen | {name}, path)
        return
    for inner in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from fields_of(inner, schemas, seen, path)
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}".lstrip(".")
        yield from fields_of(inner, schemas, seen, f"{path}.{name}".lstrip("."))
    if isinstance(schema.get("items"), dict):
        yield from fields_of(schema["items"], schemas, seen, path + "[]")


def fields_like_ids() -> set[str]:
    """`POST /v1/alert-rules webhook_endpoint_ids`, `GET /v1/deliveries ?rule_id`: from the document of the API."""
    found = set()
    whole = document(ROUTES)
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            fields = [f"?{one['name']}" for one in operation["parameters"] if one["in"] == "query"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                fields += fields_of(content["schema"], whole["components"]["schemas"], frozenset(), "")
            found |= {f"{method.upper()} {path} {field}" for field in fields if LIKE_AN_ID.search(field)}
    return found


def asked_for(line: tuple[str, str, Any, str]) -> tuple[str, str, str]:
    method, path, _, field = line
    bare = re.sub(r"\{\w+}", "{}", path.partition("?")[0].replace("/OWN", "/{}").replace("/p/", "/{}/"))
    return method, bare, field


def test_every_field_that_takes_an_id_is_asked() -> None:
    # S03: a new one fails here until it has its line
    known = {asked_for(line) for line in REFERENCES}
    reasons = set().union(*NO_REFERENCE.values())
    fields = fields_like_ids()
    assert reasons <= fields
    for field in sorted(fields - reasons):
        method, path, name = field.split(" ")
        bare, last = re.sub(r"\{\w+}", "{}", path), re.split(r"[.\]]", name)[-1]
        in_bulk = path == "/v1/config/preview"  # one request has all of its references
        assert (method, bare, last) in known or (in_bulk and ("POST", bare, "deleted") in known), field


class Tenant:
    """One of everything, with ids."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.ids: dict[str, str] = {}

    async def furnish(self, tocsin: Running, hook: Hook) -> None:
        name, client = self.name, self.client
        secret = (await client.post("/v1/secrets", {"name": f"secret-of-{name}", "value": f"value-of-{name}"})).ok(201)
        webhook = await tocsin.webhook(hook, client, name=f"webhook-of-{name}")
        rule = await tocsin.rule(webhook, client=client, name=f"rule-of-{name}", event_types=["run.*"])
        about = {"pipeline": f"pipeline-of-{name}", "run_id": f"run-of-{name}"}
        event = await tocsin.send(client, id=f"event-of-{name}", title=f"title-of-{name}", **about)
        await tocsin.settle()
        hook.expect(1)
        (run,) = (await client.get("/v1/runs")).ok()["items"]
        (delivery,) = (await client.get("/v1/deliveries")).ok()["items"]
        token = {"name": f"token-of-{name}", "role": "viewer", "user_id": f"user-of-{name}"}
        quiet = {"matchers": [{"field": "pipeline", "value": f"quiet-{name}"}], "duration_s": 60}
        self.ids = {
            "WEBHOOK": webhook["id"],
            "RULE": rule["id"],
            "EVENT": event["id"],
            "DELIVERY": delivery["id"],
            "SILENCE": (await client.post("/v1/silences", quiet)).ok(201)["id"],
            "TOKEN": (await client.post("/v1/tokens", token)).ok(201)["id"],
            "RUN": run["run_id"],
            "USER": f"user-of-{name}",
            "SECRET": secret["name"],
            "SOURCE": (await client.post("/v1/sources", {"kind": "github", "name": f"ci-of-{name}"})).ok(201)["id"],
        }

    async def everything(self) -> list[bytes]:
        """What its admin sees; when tokens were used is noted now and then."""
        paths = (
            "/v1/config", "/v1/events", "/v1/runs", "/v1/deliveries", "/v1/tokens", "/v1/members", "/v1/secrets",
            "/v1/silences", "/v1/audit", "/v1/pipelines", "/v1/sources",
        )  # fmt: skip
        answers = [(await self.client.get(path)).body for path in paths]
        return [re.sub(rb'"(last_used_at|at)":("[^"]*"|null)', b"", body) for body in answers]


def filled(text: str, ids: dict[str, str]) -> str:
    for word, id_ in ids.items():
        text = re.sub(rf"\b{word}\b", id_, text)
    return text


NOBODYS = {
    "WEBHOOK": "whk_00000000000070008000000000000000", "RULE": "rul_00000000000070008000000000000000",
    "EVENT": "event-of-nobody", "DELIVERY": "dlv_00000000000070008000000000000000",
    "SILENCE": "sil_00000000000070008000000000000000", "TOKEN": "tok_00000000000070008000000000000000",
    "RUN": "run-of-nobody", "USER": "user-of-nobody", "SECRET": "secret-of-nobody",
    "SOURCE": "src_00000000000070008000000000000000",
}  # fmt: skip


async def test_an_id_of_another_tenant_is_as_one_of_nobody(tocsin: Running) -> None:
    # S4-10 S03 S34
    mine, theirs = [Tenant(await tocsin.as_("admin", name), name) for name in ("mine", "theirs")]
    await mine.furnish(tocsin, tocsin.receiver.hook("/mine"))
    await theirs.furnish(tocsin, tocsin.receiver.hook("/theirs"))
    before = await theirs.everything()
    for line in REFERENCES:
        method, path, body, field = line
        said = []
        for ids in (NOBODYS, theirs.ids):
            where = filled(path.replace("OWN", mine.ids["RULE"]), {word: quote(id_) for word, id_ in ids.items()})
            sent = None if body is None else json.loads(filled(json.dumps(body), ids))
            answer = await mine.client.request(method, where, sent)
            plain = re.sub(rb'"(id|created_at|updated_at|since|at)":"[^"]*"', b"", answer.said)
            for word, id_ in ids.items():  # what was asked may be repeated
                plain = plain.replace(id_.encode(), word.encode())
            said.append((answer.status, plain))
            assert b"theirs" not in plain, (line, plain)
        # a cursor is where a page of one's own begins, whatever it says
        assert said[0] == said[1] or field == "?cursor", line
        assert said[0][0] < 500, line
    await tocsin.settle()
    assert await theirs.everything() == before


async def test_tags_and_keys_of_another_tenant_count_for_nothing(tocsin: Running) -> None:
    # S03: If-Match, If-None-Match, Idempotency-Key, Last-Event-ID
    mine, theirs = await tocsin.as_("admin", "mine"), await tocsin.as_("admin", "theirs")
    silence = {"matchers": [{"field": "pipeline", "value": "p"}], "duration_s": 60}
    key = {"Idempotency-Key": "the-same"}
    of_mine = await mine.request("POST", "/v1/silences", silence, headers=key)
    of_theirs = await theirs.request("POST", "/v1/silences", silence, headers=key)
    assert of_mine.ok(201)["id"] != of_theirs.ok(201)["id"]
    assert "idempotent-replayed" not in of_theirs.headers
    path = f"/v1/silences/{of_theirs.json['id']}"
    tag = (await theirs.get(path)).headers["etag"]
    for headers in ({"if-match": tag}, {"if-match": '"none"'}, {"if-none-match": tag}, {}):
        for method in ("GET", "PATCH", "DELETE"):
            body = {"reason": "x"} if method == "PATCH" else None
            answer = await mine.request(method, path, body, headers=headers)
            absent = await mine.request(method, f"/v1/silences/{NOBODYS['SILENCE']}", body, headers=headers)
            assert (answer.status, answer.said) == (404, absent.said), (method, headers)
    assert (await theirs.get(path)).headers["etag"] == tag
