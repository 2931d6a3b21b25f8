"""Bearer tokens of another issuer: signature, issuer, audience, time, tenant, user and role have to hold."""

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from tests.harness import Client, Clock, Running, Start
from tests.web.issuer import OTHER_RSA, P256, RSA, Issuer, issuing, public_pem
from tests.web.test_oidc import signatures
from tocsin.settings import SettingsError
from tocsin.store import identity

pytestmark = pytest.mark.anyio

ISSUER, AUDIENCE = "https://platform.example", "tocsin-api"


@pytest.fixture
async def issuer(anyio_backend: Any, clock: Clock) -> AsyncIterator[Issuer]:
    async with issuing(clock) as found:
        found.claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "mia", "role": "developer", "nonce": None}
        yield found


@pytest.fixture
async def platform(start: Start, issuer: Issuer) -> Running:
    return await start(
        TOCSIN_JWT_ISSUER=ISSUER, TOCSIN_JWT_AUDIENCE=AUDIENCE, TOCSIN_JWT_JWKS_URL=f"{issuer.url}/keys",
        TOCSIN_JWT_TENANT_CLAIM="org",
    )  # fmt: skip


def bearer(tocsin: Running, issuer: Issuer, **claims: Any) -> Client:
    issuer.claims = issuer.claims | {"org": "default"}
    said = {name: value for name, value in (issuer.made({}) | claims).items() if value is not None}
    return tocsin.client.with_token(issuer.sign(said))


async def test_a_platforms_token_is_one(platform: Running, issuer: Issuer) -> None:
    client = bearer(platform, issuer)
    (await client.post("/v1/events", {"type": "run.failed"})).ok(202)
    hook = (await client.post("/v1/silences", {"name": "x"})).status
    assert hook == 400
    (await client.get("/v1/audit")).problem(403)
    (await platform.client.get("/v1/events")).ok()
    viewer = bearer(platform, issuer, role="viewer")
    (await viewer.post("/v1/events", {"type": "run.failed"})).problem(403)
    (await bearer(platform, issuer, role=["viewer", "admin"]).get("/v1/audit")).ok()


async def test_it_is_of_one_tenant(platform: Running, issuer: Issuer) -> None:
    await platform.token("viewer", "acme")
    (await bearer(platform, issuer).post("/v1/events", {"type": "run.failed"})).ok(202)
    acme = bearer(platform, issuer, org="acme")
    assert (await acme.get("/v1/events")).ok()["items"] == []
    for wrong in ("nothing", "_operator", "", ["default", "acme"], [], None, 1, "x\x00"):
        (await bearer(platform, issuer, org=wrong).get("/v1/events")).problem(401)


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"}, "no issuer": {"iss": None}, "another audience": {"aud": "x"},
    "no audience": {"aud": None}, "expired": {"exp": 1}, "no end": {"exp": None}, "no number": {"exp": True},
    "not yet": {"nbf": 99_999_999_999}, "nobody": {"sub": None}, "no text": {"sub": 7}, "no role": {"role": None},
    "no such role": {"role": "owner"}, "an operator": {"role": "operator"},
}  # fmt: skip


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
async def test_what_it_says_has_to_hold(platform: Running, issuer: Issuer, claims: dict[str, Any]) -> None:
    (await bearer(platform, issuer, **claims).get("/v1/events")).problem(401)


async def test_its_signature_has_to_hold(platform: Running, issuer: Issuer) -> None:
    (await bearer(platform, issuer).get("/v1/events")).ok()
    for name, sign in signatures(issuer).items():
        issuer.sign = sign
        token = bearer(platform, issuer).token
        answer = await platform.client.request("GET", "/v1/events", headers={"authorization": f"Bearer {token}"})
        assert answer.status in (400, 401), name  # 400: longer than the server takes headers


async def test_it_ends_when_it_says(platform: Running, issuer: Issuer) -> None:
    client = bearer(platform, issuer)
    (await client.get("/v1/events")).ok()
    platform.clock.move(300 + 60)
    assert "expired" in (await client.get("/v1/events")).problem(401)["detail"]


async def test_a_member_has_no_more_than_their_role_and_one_who_was_removed_nothing(
    platform: Running, issuer: Issuer
) -> None:
    async with platform.app.db.transaction() as tx:
        await identity.add_member(tx, "default", identity.Member("mia", "viewer", "", "", 1, 1), 1)
    client = bearer(platform, issuer)
    (await client.post("/v1/events", {"type": "run.failed"})).problem(403)
    async with platform.app.db.transaction() as tx:
        await identity.remove_member(tx, "default", "mia", 2)
    platform.clock.move(1)
    (await client.get("/v1/events")).problem(401)


async def test_a_suspended_tenants_tokens_are_refused(platform: Running, issuer: Issuer) -> None:
    async with platform.app.db.transaction() as tx:
        await identity.suspend_tenant(tx, "default", 1)
    (await bearer(platform, issuer).get("/v1/events")).problem(403)


async def test_keys_that_cannot_be_fetched_are_no_fault_of_the_token(start: Start, issuer: Issuer) -> None:
    tocsin = await start(
        TOCSIN_JWT_ISSUER=ISSUER, TOCSIN_JWT_AUDIENCE=AUDIENCE, TOCSIN_JWT_JWKS_URL="http://127.0.0.1:1/keys"
    )
    answer = await bearer(tocsin, issuer).get("/v1/events")
    assert answer.problem(503)["title"]
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS384"), (P256, "ES256")])
async def test_one_key_is_enough(start: Start, issuer: Issuer, key: Any, algorithm: str) -> None:
    pem = public_pem(key).decode()
    for text in (pem, pem.replace("\n", "\\n")):
        tocsin = await start(
            TOCSIN_JWT_ISSUER=ISSUER, TOCSIN_JWT_AUDIENCE=AUDIENCE, TOCSIN_JWT_PUBLIC_KEY=text,
            TOCSIN_JWT_ROLE_MAP="staff=viewer", TOCSIN_DRAIN_SECONDS="0.1",
        )  # fmt: skip
        said = issuer.made({}) | {"role": "staff"}
        good = tocsin.client.with_token(jwt.encode(said, key, algorithm))
        (await good.get("/v1/events")).ok()
        for wrong in (
            jwt.encode(said | {"role": "viewer"}, key, algorithm),
            jwt.encode(said, OTHER_RSA, "RS256"),
            issuer.signed_as(public_pem(key), "HS256")(said),
            issuer.signed_as(text.encode(), "HS256")(said),
        ):
            (await tocsin.client.with_token(wrong).get("/v1/events")).problem(401)


@pytest.mark.parametrize(
    "settings",
    [{"TOCSIN_JWT_AUDIENCE": ""}, {"TOCSIN_JWT_PUBLIC_KEY": ""}, {"TOCSIN_JWT_PUBLIC_KEY": "secret"},
     {"TOCSIN_JWT_JWKS_URL": "https://platform.example/keys"}, {"TOCSIN_JWT_ROLE_MAP": "x=operator"}],
)  # fmt: skip
async def test_settings_that_cannot_be(start: Start, settings: dict[str, str]) -> None:
    standard = {
        "TOCSIN_JWT_ISSUER": ISSUER,
        "TOCSIN_JWT_AUDIENCE": AUDIENCE,
        "TOCSIN_JWT_PUBLIC_KEY": public_pem(RSA).decode(),
    }
    with pytest.raises(SettingsError, match=r"TOCSIN_JWT_\w+"):
        await start(**standard | settings)
