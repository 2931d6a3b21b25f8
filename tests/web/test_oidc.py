"""Signing in at another issuer: what has to hold holds, and who that is here. S07 and S08 of the matrix, for OpenID."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.harness import Answer, Clock, Running, Start
from tests.web.browser import Browser, account_of, set_up
from tests.web.issuer import CLIENT, OTHER_RSA, P256, RSA, SECRET, Issuer, encoded, issuing, part, public_pem
from tocsin.settings import SettingsError
from tocsin.store import accounts, identity

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

With = Callable[..., Awaitable[Running]]


@pytest.fixture
async def issuer(anyio_backend: Any, clock: Clock) -> AsyncIterator[Issuer]:
    async with issuing(clock) as found:
        yield found


@pytest.fixture
def with_issuer(start: Start, issuer: Issuer) -> With:
    async def started(**settings: str) -> Running:
        standard = {
            "TOCSIN_OIDC_ISSUER": issuer.url,
            "TOCSIN_OIDC_CLIENT_ID": CLIENT,
            "TOCSIN_OIDC_CLIENT_SECRET": SECRET,
            "TOCSIN_OIDC_DEFAULT_ROLE": "developer",
        }
        return await start(**standard | settings)

    return started


async def sign_in(tocsin: Running, issuer: Issuer, browser: Browser | None = None) -> tuple[Browser, Answer]:
    """There and back; the answer is the last one."""
    browser = browser or Browser(tocsin)
    away = await browser.get("/auth/oidc/start?next=/account")
    assert away.status == 303, away.body
    assert "tocsin-oidc" in browser.cookies
    answer = await browser.get(issuer.authorize(away.headers["location"]), sec_fetch_site="cross-site")
    if answer.status == 303:
        browser.csrf = (await browser.get("/auth/session")).ok()["csrf_token"]
    return browser, answer


async def refused(tocsin: Running, issuer: Issuer, status: int = 401) -> str:
    """Nobody is signed in, and no account came of it. Returns what the page says."""
    browser, answer = await sign_in(tocsin, issuer)
    assert answer.status == status, answer.body
    assert "tocsin" not in browser.cookies
    (await browser.get("/auth/session")).problem(401)
    assert await accounts.by_email(tocsin.app.db, "mia@example.com") is None
    return answer.body.decode()


async def test_somebody_signs_in_and_is_known_the_next_time(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    assert b"single sign-on" in (await Browser(tocsin).get("/sign-in")).body
    browser, answer = await sign_in(tocsin, issuer)
    assert (answer.status, answer.headers["location"]) == (303, "/account")
    assert issuer.problems == []
    said = (await browser.get("/auth/session")).ok()
    assert (said["email"], said["name"], said["role"], said["tenant_id"]) == (
        "mia@example.com",
        "Mia",
        "developer",
        "default",
    )
    assert not said["is_operator"]
    assert "tocsin-oidc" not in browser.cookies
    issuer.claims = {"email": "mia.new@example.com", "name": "Another"}
    again, _ = await sign_in(tocsin, issuer)
    assert (await again.get("/auth/session")).ok()["user_id"] == said["user_id"]
    (await browser.api("POST", "/v1/events", {"type": "run.failed"})).ok(202)
    (await browser.api("POST", "/auth/password", {"current_password": "x", "new_password": "y"})).problem(409)
    assert issuer.asked.count("/keys") == 1, "keys are kept"
    assert issuer.asked.count("/.well-known/openid-configuration") == 1


async def test_a_key_of_another_kind_and_keys_that_change(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    issuer.keys, issuer.kid = {"e1": (P256, "ES256")}, "e1"
    assert (await sign_in(tocsin, issuer))[1].status == 303
    issuer.keys, issuer.kid = {"k2": (OTHER_RSA, "RS256")}, "k2"
    tocsin.clock.move(31)
    assert (await sign_in(tocsin, issuer))[1].status == 303, "a key that is not known is looked for"
    issuer.keys, issuer.kid = {"k3": (RSA, "RS256")}, "k3"
    before = issuer.asked.count("/keys")
    assert (await sign_in(tocsin, issuer))[1].status == 401
    assert issuer.asked.count("/keys") == before, "but not at each wrong name"


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "x" * 43},
    "no nonce": {"nonce": None},
    "a nonce that is no text": {"nonce": 1},
    "another audience": {"aud": "somebody-else"},
    "an audience of others": {"aud": ["somebody-else", "and-another"]},
    "made out to another": {"aud": [CLIENT, "somebody-else"], "azp": "somebody-else"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "expired": {"exp": 1},
    "without an end": {"exp": None},
    "an end that is no number": {"exp": "tomorrow"},
    "from the future": {"iat": 99_999_999_999},
    "not yet": {"nbf": 99_999_999_999},
    "nobody": {"sub": None},
    "nobody at all": {"sub": ""},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
async def test_what_the_token_says_has_to_hold(with_issuer: With, issuer: Issuer, claims: dict[str, Any]) -> None:
    tocsin = await with_issuer()
    issuer.claims = claims
    await refused(tocsin, issuer)


def none(claims: dict[str, Any]) -> str:
    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims)}."


def signatures(issuer: Issuer) -> dict[str, Callable[[dict[str, Any]], str]]:
    good = issuer.signed
    return {
        "none": none,
        "None": lambda claims: none(claims).replace(part({"alg": "none", "kid": "k1"}), part({"alg": "NonE"})),
        "another key": issuer.signed_as(OTHER_RSA, "RS256"),
        "a key nobody knows": issuer.signed_as(OTHER_RSA, "RS256", "k9"),
        "HMAC with the public key": issuer.signed_as(public_pem(RSA), "HS256"),
        "HMAC with the client's secret": issuer.signed_as(SECRET.encode(), "HS256"),
        "another algorithm of the key": issuer.signed_as(RSA, "PS256"),
        "no signature": lambda claims: good(claims).rpartition(".")[0] + ".",
        "another's signature": lambda claims: good(claims).rpartition(".")[0] + "." + encoded(b"x" * 256),
        "changed afterwards": lambda claims: changed(good(claims), claims),
        "unknown extensions": lambda claims: issuer.signed(claims, crit=["exp"]),
        "its own key": lambda claims: issuer_key(issuer, claims),
        "no token": lambda claims: "not.a.token",
        "two parts": lambda claims: good(claims).rpartition(".")[0],
        "nothing": lambda claims: "",
        "endless": lambda claims: "a" * 40_000,
    }


def changed(token: str, claims: dict[str, Any]) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{part(claims | {'sub': 'the-boss'})}.{signature}"


def issuer_key(issuer: Issuer, claims: dict[str, Any]) -> str:
    """The key stands in the token itself, which whoever made it likes."""
    mine = Issuer(issuer.clock)
    mine.keys = {"k1": (OTHER_RSA, "RS256")}
    return mine.signed(claims, jwk=mine.published()[0], jku=f"{issuer.url}/keys", x5u=f"{issuer.url}/keys")


async def test_the_signature_has_to_hold(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    assert (await sign_in(tocsin, issuer))[1].status == 303
    for name, sign in signatures(issuer).items():
        issuer.sign = sign
        browser, answer = await sign_in(tocsin, issuer)
        assert answer.status == 401, name
        assert "tocsin" not in browser.cookies, name


async def test_what_comes_back_comes_back_once_and_to_the_same_browser(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    browser = Browser(tocsin)
    away = await browser.get("/auth/oidc/start")
    back = issuer.authorize(away.headers["location"])
    cookie = browser.cookies["tocsin-oidc"]
    stranger = Browser(tocsin)
    assert (await stranger.get(back)).status == 401, "another browser: nobody is signed in by somebody else's code"
    other = Browser(tocsin)
    await other.get("/auth/oidc/start")
    assert (await other.get(back)).status == 401, "the state of another sign-in"
    assert (await browser.get(back)).status == 303
    browser.cookies["tocsin-oidc"] = cookie
    once_more = issuer.authorize(away.headers["location"])  # a new code for the same state
    assert b"finished already" in (await browser.get(once_more)).body
    assert issuer.asked.count("/token") == 1


@pytest.mark.parametrize(
    "answer",
    [{"state": "x" * 43}, {"state": ""}, {"code": ""}, {"error": "access_denied"}, {"iss": "https://evil.example"}],
    ids=["wrong state", "no state", "no code", "an error", "mixed-up issuer"],
)
async def test_the_answer_has_to_be_the_one_that_was_asked_for(
    with_issuer: With, issuer: Issuer, answer: dict[str, str]
) -> None:
    tocsin = await with_issuer()
    issuer.answer = answer
    await refused(tocsin, issuer)
    assert "/token" not in issuer.asked


async def test_it_may_not_take_too_long(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    browser = Browser(tocsin)
    away = await browser.get("/auth/oidc/start")
    tocsin.clock.move(600)
    assert (await browser.get(issuer.authorize(away.headers["location"]))).status == 401
    for forged in ("", "x", "eyJzZWNyZXQiOiAieCJ9", "ü"):
        browser.keep((f"tocsin-oidc={forged}; path=/",))
        assert (await browser.get("/auth/oidc/callback?code=x&state=x")).status == 401


async def test_the_configuration_has_to_be_the_issuers_own(with_issuer: With, issuer: Issuer) -> None:
    # mixed-up issuers
    tocsin = await with_issuer()
    for wrong in ({"issuer": "https://evil.example"}, {"issuer": issuer.url + "/"}, {"token_endpoint": "javascript:x"},
                  {"jwks_uri": None}):  # fmt: skip
        issuer.configuration = wrong
        assert (await Browser(tocsin).get("/auth/oidc/start")).status == 401
        tocsin.clock.move(5)
    issuer.configuration = {}
    assert (await Browser(tocsin).get("/auth/oidc/start")).status == 303


async def test_an_issuer_in_trouble_is_not_asked_by_everybody(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    issuer.configuration = {"issuer": "https://evil.example"}
    answers = await asyncio.gather(*(Browser(tocsin).get("/auth/oidc/start") for _ in range(8)))
    assert {answer.status for answer in answers} == {401, 503}
    assert len(issuer.asked) == 1
    issuer.configuration = {}
    tocsin.clock.move(5)
    assert (await Browser(tocsin).get("/auth/oidc/start")).status == 303


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://169.254.169.254", "http://10.0.0.1"])
async def test_an_issuer_that_cannot_be_reached_is_said(with_issuer: With, issuer: Issuer, url: str) -> None:
    tocsin = await with_issuer(TOCSIN_OIDC_ISSUER=url)
    answer = await Browser(tocsin).get("/auth/oidc/start")
    assert answer.status == 503
    assert b"does not answer" in answer.body


async def test_a_private_issuer_needs_the_operators_leave(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer(TOCSIN_ALLOW_TARGETS="")
    assert (await Browser(tocsin).get("/auth/oidc/start")).status == 503
    assert issuer.asked == []


# Who that is here.


async def test_claims_give_roles_at_each_sign_in(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer(
        TOCSIN_OIDC_ROLE_CLAIM="realm_access.roles", TOCSIN_OIDC_ROLE_MAP="ops=admin, data=developer, all=viewer"
    )
    await tocsin.token("admin", user="somebody")
    for roles, role in ((["all"], "viewer"), (["all", "ops", "data"], "admin"), (["data", "x"], "developer")):
        issuer.claims = {"realm_access": {"roles": roles}}
        browser, _ = await sign_in(tocsin, issuer)
        assert (await browser.get("/auth/session")).ok()["role"] == role
    for nothing in ([], ["x"], "ops-not", None, {"ops": 1}):
        issuer.claims = {"realm_access": {"roles": nothing}}
        assert (await sign_in(tocsin, issuer))[1].status == 403


async def test_claims_give_tenants(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer(TOCSIN_OIDC_TENANT_CLAIM="org", TOCSIN_OIDC_TENANT_MAP="Acme Inc=acme, B=b")
    await tocsin.token("viewer", "acme")
    for nothing in ("acme", "B", "_operator", "x\x00", None):
        issuer.claims = {"org": nothing}
        await refused(tocsin, issuer, 403)
    issuer.claims = {"org": ["Acme Inc", "B"]}
    browser, _ = await sign_in(tocsin, issuer)
    said = (await browser.get("/auth/session")).ok()
    assert (said["tenant_id"], [one["tenant_id"] for one in said["tenants"]]) == ("acme", ["acme"])


async def test_without_a_role_for_newcomers_only_members_get_in(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer(TOCSIN_OIDC_DEFAULT_ROLE="")
    assert "no tenant" in await refused(tocsin, issuer, 403)
    async with tocsin.app.db.transaction() as tx:
        for user in ("mia", "other"):
            email = "Mia@Example.com" if user == "mia" else "other@example.com"
            await identity.add_member(tx, "default", identity.Member(user, "viewer", email, "", 1, 1), 1)
    issuer.claims = {"email_verified": False}
    await refused(tocsin, issuer, 403)
    issuer.claims = {"email_verified": "true"}
    await refused(tocsin, issuer, 403)
    issuer.claims = {}
    browser, _ = await sign_in(tocsin, issuer)
    said = (await browser.get("/auth/session")).ok()
    assert (said["user_id"], said["role"]) == ("mia", "viewer")


async def test_an_account_with_a_password_is_not_taken_over(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    user = await account_of(tocsin, "mia@example.com", "admin")
    for claims in ({}, {"email_verified": False}):
        issuer.claims = claims
        assert (await sign_in(tocsin, issuer))[1].status == 403
    linking = await with_issuer(TOCSIN_OIDC_LINK_BY_EMAIL="true", TOCSIN_DRAIN_SECONDS="0.1")
    issuer.claims = {"email_verified": False}
    assert (await sign_in(linking, issuer))[1].status == 403
    issuer.claims = {}
    browser, _ = await sign_in(linking, issuer)
    assert (await browser.get("/auth/session")).ok()["user_id"] == user
    issuer.claims = {"sub": "somebody-else"}
    assert (await sign_in(linking, issuer))[1].status == 403, "it is somebody's now"


async def test_who_was_removed_does_not_come_back_by_signing_in(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer(TOCSIN_OIDC_ROLE_CLAIM="groups", TOCSIN_OIDC_ROLE_MAP="ops=admin")
    await tocsin.token("admin", user="somebody")
    issuer.claims = {"groups": ["ops"]}
    browser, _ = await sign_in(tocsin, issuer)
    user = (await browser.get("/auth/session")).ok()["user_id"]
    async with tocsin.app.db.transaction() as tx:
        await identity.remove_member(tx, "default", user, tocsin.clock.now_ms)
    assert (await sign_in(tocsin, issuer))[1].status == 403


async def test_the_operator_of_the_first_start_stays_apart(with_issuer: With, issuer: Issuer) -> None:
    tocsin = await with_issuer()
    await set_up(tocsin)
    issuer.claims = {"email": "ana@example.com", "sub": "evil"}
    assert (await sign_in(tocsin, issuer))[1].status == 403


@pytest.mark.parametrize(
    "settings",
    [{"TOCSIN_OIDC_CLIENT_ID": ""}, {"TOCSIN_OIDC_ROLE_CLAIM": "groups"}, {"TOCSIN_OIDC_ROLE_MAP": "ops=admin"},
     {"TOCSIN_OIDC_ROLE_CLAIM": "groups", "TOCSIN_OIDC_ROLE_MAP": "ops=operator"},
     {"TOCSIN_OIDC_TENANT_MAP": "x"}],
)  # fmt: skip
async def test_settings_that_cannot_be(with_issuer: With, settings: dict[str, str]) -> None:
    (name, *_) = settings
    with pytest.raises(SettingsError, match=r"TOCSIN_OIDC_\w+"):
        await with_issuer(**settings)
    assert name


async def test_without_an_issuer_there_is_nothing(start: Start) -> None:
    tocsin = await start()
    for path in ("/auth/oidc/start", "/auth/oidc/callback?code=x&state=y"):
        assert (await Browser(tocsin).get(path)).status == 404
