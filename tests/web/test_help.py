"""Every error has a page: of what the API answers, of what receivers say, of what is held back, of what the doctor
finds and of what rings. A new one without a page fails here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from markupsafe import escape

from tests.harness import Running
from tests.providers.examples import provider_of
from tests.providers.test_documented_errors import SMTP, TABLE, as_reply, meaning
from tests.web.browser import Browser, set_up
from tocsin.model import errors
from tocsin.model.errors import Busy, Full, Invalid, Limited, Refusal
from tocsin.model.limits import Reached
from tocsin.model.wire import NoReply, NoReplyReason, Rejected, Reply, Retry, SmtpReply
from tocsin.provider_kit.classify import silence
from tocsin.providers import PROVIDERS, discord, google_chat, mattermost, mattermost_bot, slack, slack_bot, telegram
from tocsin.web.dashboard.advice import advice
from tocsin.web.help import PATH, code_of, groups, pages

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/tocsin"
UNKNOWN = "refused"
WIDE = {"attempts-used-up", UNKNOWN}
"""Pages of failures that say nothing of the cause."""

# What the API answers.


def kinds_of_refusal(above: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    one: type[Refusal]
    for one in above.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one
        yield from kinds_of_refusal(one)


def test_every_refusal_has_a_page() -> None:
    reached = Reached("webhooks", 3, None)
    made = [Limited(reached, 1), Full(reached, 3, 1), Busy("later", 1), Busy("slower", 1, status=429)]
    made += [Invalid("a", "b", "c", status=status) for status in (400, 413, 415)]
    codes = {one.code for one in made} | {one.code for one in kinds_of_refusal()} | {"method-not-allowed"}
    assert codes | {"internal-error"} == set(groups()["requests"].pages)


def test_every_status_of_a_refusal_is_on_its_page() -> None:
    for one in kinds_of_refusal():
        if one not in (Invalid, Busy, Limited):
            assert str(one.status) in groups()["requests"].pages[one.code].status


@pytest.mark.anyio
async def test_an_answer_leads_to_its_page(tocsin: Running) -> None:
    answers = [
        (await tocsin.client.post("/v1/alert-rules", {"nope": 1}), 400, "invalid-input"),
        (await tocsin.client.get("/v1/webhooks/whk_none"), 404, "not-found"),
        (await tocsin.client.request("PUT", "/v1/webhooks"), 405, "method-not-allowed"),
        (await tocsin.client.with_token("").get("/v1/webhooks"), 401, "not-authenticated"),
        (
            await tocsin.client.request("POST", "/v1/events", data=b"x", headers={"content-encoding": "br"}),
            415,
            "wrong-content-type",
        ),
    ]
    for answer, status, code in answers:
        assert answer.status == status, answer.body
        assert answer.json["type"] == f"{PATH}/{code}"
        page = await tocsin.client.with_token("").get(answer.json["type"])
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/html")
        assert pages()[code][1].title.encode() in page.body


# What receivers say.


def documented() -> Iterator[tuple[str, Reply]]:
    """Every answer that a provider is documented to give."""
    for kind, status, body, _ in TABLE:
        yield kind, as_reply(kind, status, body)
    for code, words, _ in SMTP:
        yield "email", SmtpReply(code, words.encode())
    for words in telegram.ENDPOINT_DEAD:
        yield "telegram", as_reply("telegram", 400, {"ok": False, "error_code": 400, "description": f"{words} it says"})
    for word in slack.MESSAGE_REFUSED | slack.ENDPOINT_DEAD | slack.PASSING:
        yield "slack", as_reply("slack", 400, word)
    for number in discord.MESSAGE_REFUSED | discord.ENDPOINT_DEAD | discord.THREAD_LOST | discord.PASSING:
        yield "discord", as_reply("discord", 400, {"code": number, "message": "said so"})
    for name in (
        *slack_bot.RATE_LIMITED, *slack_bot.PASSING, *slack_bot.CREDENTIAL_DEAD, *slack_bot.ENDPOINT_DEAD,
        *slack_bot.THREAD_LOST,
    ):  # fmt: skip
        yield "slack_bot", as_reply("slack_bot", 200, {"ok": False, "error": name})
    for name in mattermost.ENDPOINT_DEAD | mattermost.MESSAGE_REFUSED:
        yield "mattermost", as_reply("mattermost", 400, {"id": name, "message": "m", "status_code": 400})
    for name in mattermost_bot.ENDPOINT_DEAD | mattermost_bot.THREAD_LOST:
        yield "mattermost_bot", as_reply("mattermost_bot", 400, {"id": name, "message": "m", "status_code": 400})
    for name in google_chat.PASSING | google_chat.ENDPOINT_DEAD:
        yield "google_chat", as_reply("google_chat", 400, {"error": {"code": 400, "message": "m", "status": name}})


def test_every_documented_answer_has_a_page_that_says_what_follows() -> None:
    wrong = []
    for kind, reply in documented():
        outcome = provider_of(kind).classify(reply)
        if isinstance(outcome, Retry | Rejected):
            code = code_of("dead", outcome.reason)
            then = groups()["failures"].pages[code].then if code else ()
            if code in ("", *WIDE) or meaning(outcome) not in then:
                wrong.append(f"{kind}: {outcome.reason!r} is {meaning(outcome)}; {code} says {then}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_status_of_every_provider_has_a_page(kind: str) -> None:
    provider = provider_of(kind)
    for status in range(200, 600):
        outcome = provider.classify(as_reply(kind, status, ""))
        if isinstance(outcome, Retry | Rejected):
            code = code_of("dead", outcome.reason)
            assert meaning(outcome) in groups()["failures"].pages[code].then, (kind, status, outcome, code)


@pytest.mark.parametrize("reason", get_args(NoReplyReason))
def test_every_way_to_get_no_answer_has_a_page_of_its_own(reason: Any) -> None:
    outcome = silence(NoReply(reason, "said so"))
    assert isinstance(outcome, Retry | Rejected)
    code = code_of("dead", outcome.reason)
    assert code not in ("", *WIDE)
    assert groups()["failures"].pages[code].then == (meaning(outcome),)
    assert code_of("retrying", f"{outcome.reason}; all 10 attempts failed") == code


def test_advice_is_that_of_the_page() -> None:
    told = advice("Slack", "HTTP 404: no_service")
    page = groups()["failures"].pages["address-gone"]
    assert (told.what, told.do) == (f"Slack {page.says}.", page.do[0])
    assert told.more == f"{PATH}/address-gone"
    assert advice("It", "squeak").what == "squeak"


# Every reason that stands in the source.

REASONS = {"Rejected": 0, "Retry": 0, "Over": 1, "Decision": 3, "quiet": 2}
"""Which argument of these calls is a reason that people read."""


def text_of(node: ast.expr) -> str:
    """A literal, with a number for what is put into it; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


def reasons_in(folder: str) -> Iterator[tuple[str, str, str]]:
    """(file, the call, the reason)"""
    for file in sorted((SOURCE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            place = REASONS.get(name)
            if place is not None and len(node.args) > place and (text := text_of(node.args[place])):
                yield file.name, name, text
            for keyword in node.keywords:
                if keyword.arg == "suppressed" and (text := text_of(keyword.value)):
                    yield file.name, "suppressed", text


@pytest.mark.parametrize("folder", ["providers", "provider_kit", "stages/deliver"])
def test_every_reason_of_a_failure_in_the_source_has_a_page(folder: str) -> None:
    found = [(file, text) for file, name, text in reasons_in(folder) if name in ("Rejected", "Retry")]
    assert found or folder == "provider_kit"
    for file, text in found:
        if re.search(r"[a-z]{3}", text):
            assert code_of("dead", text) not in ("", *WIDE), f"{file}: {text}"


@pytest.mark.parametrize("folder", ["rules", "stages"])
def test_every_reason_to_say_nothing_in_the_source_has_a_page(folder: str) -> None:
    for file, name, text in reasons_in(folder):
        if name in ("Decision", "quiet", "suppressed") and text != "it opened an alarm there":
            assert code_of("suppressed", text), f"{file}: {text}"
        if name == "Over":
            assert code_of("cancelled", text), f"{file}: {text}"


def test_every_reason_that_sql_writes_has_a_page() -> None:
    texts = "\n".join(file.read_text("utf-8") for file in (SOURCE / "store/sql").rglob("*.sql"))
    written = set(re.findall(r"reason = '([^']+)'", texts)) | set(re.findall(r"THEN '([a-z][^']* [^']*)'", texts))
    assert len(written) >= 3
    written |= {"what is stored of it cannot be read: Expected `str`"}  # store/queue.py
    for reason in written:
        assert code_of("dead", reason) not in ("", *WIDE), reason


HELD = (
    "silenced by ana until 2026-11-21 16:00 UTC: deploy (sil_1)",
    "told in dlv_1 (the daily digest)",
    "NOTIFICATIONS_SLACK_ENABLED is off",
    "TOCSIN_ROLLOUT_ALERTS does not name this tenant",
    "the rollout of slack is off",
    "the rollout of alerts has not come to this tenant",
    "Slack is not set up: SLACK_BOT_TOKEN is not set",
    "no channel is known: SLACK_DEFAULT_CHANNEL is not set",
    "email is not set up: EMAIL_FROM_ADDRESS is not set",
    "failures by Slack: that is off in the preferences of ana and bo",
    "no email address is known of ana: it can be set in the preferences",
    "the webhook is switched off",
    "its settings do not fit: Expected `str`",
    "2 of 3 failures in a row",
    "1 of 3 failures within an hour",
    "9 of the last 10 runs succeeded (90%); below 80% is told",
    "accuracy is 0.93",
    "recovered after 3h 10m, 7 failures; the rule does not tell of recoveries",
    "the type run.failed (kind run.failed) is not one of training.*",
    "data.rows is missing",
)


@pytest.mark.parametrize("reason", HELD)
def test_what_is_held_back_is_explained(reason: str) -> None:
    assert code_of("suppressed", reason)


# The doctor, and what rings.


def test_every_check_of_the_doctor_has_a_page() -> None:
    checks = set()
    for file in ("web/checks.py", "web/api/doctor.py", "cli/checks.py"):
        for node in ast.walk(ast.parse((SOURCE / file).read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                checks.add(text_of(node.args[1]))
    checks.discard("")
    assert {f"check-{one}" for one in checks} == set(groups()["checks"].pages)


def test_every_alert_has_a_page() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    assert {one["alert"].lower(): one["alert"] for one in rules} == {
        code: one.title for code, one in groups()["alerts"].pages.items()
    }


# The pages.


@pytest.mark.anyio
async def test_the_dashboard_leads_to_them(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/orders")
    hook.always(404)
    webhook = await tocsin.webhook(hook, name="orders", enabled_events=["run.failed"])
    silenced = {"matchers": [{"field": "pipeline", "value": "etl/quiet"}], "duration_s": 3600, "reason": "deploy"}
    (await tocsin.client.post("/v1/silences", silenced)).ok(201)
    quiet = await tocsin.send(type="run.failed", pipeline="etl/quiet", run_id="r1")
    await tocsin.send(type="run.failed", pipeline="etl/orders", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    dead, held = await tocsin.delivery(status="dead"), await tocsin.delivery(status="suppressed")
    ana = await set_up(tocsin)
    for path, code in (
        (f"/deliveries/{dead['id']}", "nothing-at-the-address"),
        ("/dead-letters", "nothing-at-the-address"),
        (f"/endpoints/{webhook['id']}", "nothing-at-the-address"),
        (f"/deliveries/{held['id']}", "silenced"),
        (f"/events/{quiet['id']}", "silenced"),
        ("/deliveries/dlv_none", "not-found"),
        ("/settings/checks", "check-targets"),
    ):
        body = (await ana.get(path)).body.decode()
        assert f'href="{PATH}/{code}"' in body, (path, code)


def test_pages_are_whole() -> None:
    assert len(pages()) == sum(len(group.pages) for group in groups().values()), "a code is there twice"
    for code, (group, one) in pages().items():
        assert re.fullmatch(r"[a-z][a-z0-9-]+", code)
        assert one.tocsin or one.then, code
        assert set(one.then) <= set(group.then), code
        assert set(one.related) <= set(pages()), code
        assert all(text.endswith((".", "?")) for text in (one.means, *one.do, *one.look, *group.look) if text), code
        assert bool(one.says) == (group is groups()["failures"]), code


@pytest.mark.anyio
async def test_every_page_is_there_for_everybody(tocsin: Running) -> None:
    nobody, ana = Browser(tocsin), await set_up(tocsin)
    for browser in (nobody, ana):
        index = await browser.get(PATH)
        assert index.status == 200
        for code, (_, one) in pages().items():
            assert f'href="{PATH}/{code}"'.encode() in index.body
            if browser is nobody:
                page = await browser.get(f"{PATH}/{code}")
                assert f"<h1>{escape(one.title)}</h1>".encode() in page.body
        assert (b"Sign out" in index.body or b"/account" in index.body) == (browser is ana)
        assert (await browser.get(f"{PATH}/no-such-page")).status == 404
