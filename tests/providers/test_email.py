"""Email's own rules: the mail as the standard library and SendGrid's schema read it, who may be written to, and what
each documented refusal means. And that nobody's text is more than text."""

import json
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compose.samples import AT_MS
from tests.fakes.all_fakes import ask
from tests.providers.all_requests import mail as read_mail
from tests.providers.examples import BASE, EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, TOKEN, provider_of, reply, sending
from tocsin.fakes import Answer
from tocsin.fakes.sendgrid import FakeSendGrid
from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import (
    Accepted,
    Delivered,
    HttpReply,
    HttpRequest,
    Outcome,
    Rejected,
    Retry,
    SmtpReply,
    SmtpRequest,
)
from tocsin.provider_kit.mail import date, encoded, mailbox, words
from tocsin.provider_kit.mail_html import DARK, LIGHT, TONES, contrast, on
from tocsin.providers.email import EmailSettings, check_settings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["sendgrid"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
OPENAPI = json.loads((SHARED / "sendgrid-mail-v3-openapi.json").read_text())
BODY = OPENAPI["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
SCHEMA = jsonschema.Draft202012Validator(BODY | {"components": OPENAPI["components"]})
EMAIL = provider_of("email")
KEY = PATTERNS["examples"]["sendgrid_key"][0]
CLIPPED_BYTES = 102_000
"""Gmail hides what comes after."""


def smtp(message: Message, *, plain: bool = False, quiet: bool = False, **settings: Any) -> SmtpRequest:
    request = EMAIL.render(sending(EMAIL, message, plain=plain, quiet=quiet, **settings))
    assert isinstance(request, SmtpRequest)
    return request


def grid(message: Message, *, plain: bool = False, **settings: Any) -> HttpRequest:
    request = EMAIL.render(sending(EMAIL, message, plain=plain, sendgrid_api_key=KEY, **settings))
    assert isinstance(request, HttpRequest)
    return request


def parsed(request: SmtpRequest) -> EmailMessage:
    found = message_from_bytes(request.body, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def part(request: SmtpRequest, kind: str) -> str:
    found = parsed(request).get_body(preferencelist=(kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


# The mail


def test_the_mail_is_what_the_standard_library_reads() -> None:  # S0-05, S1-16
    found = parsed(smtp(MESSAGES["run-failed"], cc=["bob@example.org"], subject_prefix="[shop]"))
    assert found.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in found.iter_parts()] == ["text/plain", "text/html"]
    assert found["Subject"] == "[shop] ❌ train-ranker failed in prod (evaluate)"
    assert found["From"].addresses[0].display_name == "Tocsin"
    assert [one.addr_spec for one in found["To"].addresses] == ["ana@example.com"]
    assert [one.addr_spec for one in found["Cc"].addresses] == ["bob@example.org"]
    assert found["Date"].datetime.timestamp() == AT_MS // 1000
    assert found["Auto-Submitted"] == "auto-generated"


def test_a_delivery_is_one_mail_and_a_run_one_conversation() -> None:  # S0-06, S1-17
    first, again = (parsed(smtp(MESSAGES[name])) for name in ("run-started", "run-failed"))
    assert first["Message-ID"] == again["Message-ID"] == "<dlv_0198c5f2@example.com>"  # the same delivery
    assert first["References"] == again["References"] == first["In-Reply-To"]
    assert re.fullmatch(r"<run\.[0-9a-f]{32}@example\.com>", first["References"])
    alone = sending(EMAIL, BASE)
    request = EMAIL.render(msgspec.structs.replace(alone, run_key=""))
    assert isinstance(request, SmtpRequest)
    assert parsed(request)["References"] is None
    later = EMAIL.render(msgspec.structs.replace(alone, id="dlv_2"))
    assert isinstance(later, SmtpRequest)
    assert parsed(later)["Message-ID"] == "<dlv_2@example.com>"


def test_the_way_out() -> None:
    page = parsed(smtp(BASE, unsubscribe_url="https://tocsin.example/u?a=1&b=2"))
    assert page["List-Unsubscribe"] == "<https://tocsin.example/u?a=1&b=2>"
    assert page["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for url in ("mailto:stop@tocsin.example", "http://tocsin.example/u"):
        found = smtp(BASE, unsubscribe_url=url)
        assert parsed(found)["List-Unsubscribe"] == f"<{url}>"
        assert parsed(found)["List-Unsubscribe-Post"] is None
        assert url in part(found, "plain")
        assert f'href="{url}"' in part(found, "html")
    assert parsed(smtp(BASE))["List-Unsubscribe"] is None


def test_important_is_what_failed_and_only_where_it_is_wanted() -> None:  # S1-18
    assert parsed(smtp(MESSAGES["run-failed"], mention_on_failure=True))["Importance"] == "high"
    assert parsed(smtp(MESSAGES["safety-rollback"], mention_on_failure=True))["Importance"] == "high"
    for calm in (
        smtp(MESSAGES["run-failed"]),
        smtp(MESSAGES["run-succeeded"], mention_on_failure=True),
        smtp(MESSAGES["run-failed"], mention_on_failure=True, quiet=True),
    ):
        assert parsed(calm)["Importance"] is None


class Words(HTMLParser):
    """The text that a browser would show, and every attribute."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def links(self) -> list[str]:
        return [value for name, value in self.attributes if name == "href"]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", MESSAGES)
def test_both_parts_say_the_same(name: str) -> None:  # S0-02, S0-03
    message = msgspec.structs.replace(
        MESSAGES[name], steps=(RunStep("load", "succeeded", 12_000), RunStep("train", "failed", None))
    )
    request = smtp(message)
    text, html = part(request, "plain"), Words(part(request, "html"))
    shown = squeezed(" ".join(html.said))
    told = [
        message.title,
        message.cause,
        message.text,
        message.detail,
        "load",
        "12 s",
        "❌ train",
        "2026-11-21 02:00 UTC",
    ]
    told += [one for fact in message.facts for one in fact] + [one.label for one in message.actions]
    for one in [*told, *message.footer]:
        assert squeezed(one).strip() in squeezed(text), one
        assert squeezed(one).strip() in shown, one
    urls = [one.url for one in message.actions]
    assert html.links() == urls
    assert all(url in text for url in urls)


def test_what_is_shown_is_as_the_settings_say() -> None:  # S1-02, S1-18
    message = MESSAGES["run-failed"]
    assert "https://" not in part(smtp(message, include_action_buttons=False), "plain")
    assert Words(part(smtp(message, include_action_buttons=False), "html")).links() == []
    themed = part(smtp(message, theme_color="#FFCC00"), "html")
    assert 'class="bar" height="6" bgcolor="#FFCC00"' in themed
    assert "color:#000000" in themed
    for request in (smtp(message, use_rich_formatting=False), smtp(message, plain=True)):
        bare = Words(part(request, "html"))
        assert not {"table", "td", "style", "a", "pre"} & set(bare.tags)
        assert squeezed(part(request, "plain")).strip() in squeezed(" ".join(bare.said))


def test_the_html_is_a_mail_that_programs_can_show() -> None:
    html = part(smtp(MESSAGES["run-failed"]), "html")
    found = Words(html)
    assert html.startswith("<!DOCTYPE html>\n<html lang=")
    assert ("name", "color-scheme") in found.attributes
    assert "prefers-color-scheme: dark" in html
    assert found.tags.count("table") == found.attributes.count(("role", "presentation"))
    assert not {"img", "script", "link", "iframe", "form", "svg", "video", "object"} & set(found.tags)
    assert not re.search(r"url\(|@import|@font-face|\bsrc=", html)
    assert html.index("CUDA out of memory") < html.index("<h1")  # the preview, before all else
    words, mark = re.search(r'<span class="tone"[^>]*>(.*?)</span>', html), "❌ Failed"
    assert words is not None
    assert words[1] == mark  # never a colour alone


def test_the_stages_that_are_left_out_are_counted() -> None:
    steps = tuple(RunStep(f"s{number}", "succeeded", 1000) for number in range(40))
    text = part(smtp(msgspec.structs.replace(BASE, steps=steps)), "plain")
    assert "Stages (the last 12 of 40)\n✅ s28" in text
    assert "✅ s39" in text


PAIRS = [
    (scheme[text], scheme[ground])
    for scheme in (LIGHT, DARK)
    for text, ground in [("ink", "card"), ("soft", "card"), ("ink", "code")]
]
PAIRS += [(one[at], one[at + 1]) for one in TONES.values() for at in (0, 2)]
PAIRS += [(on(LIGHT["button"]), LIGHT["button"])]


@pytest.mark.parametrize("ink, ground", PAIRS)
def test_everything_can_be_read(ink: str, ground: str) -> None:
    """https://www.w3.org/TR/WCAG22/#contrast-minimum"""
    assert contrast(ink, ground) >= 4.5


@given(st.integers(0, 0xFFFFFF))
def test_a_button_of_any_colour_can_be_read(colour: int) -> None:
    assert contrast(on(f"#{colour:06x}"), f"#{colour:06x}") >= 4.5


def test_contrast_is_what_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


# Whatever it holds


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_fits_a_mail_and_its_programs(name: str) -> None:
    request = smtp(EVERY_MESSAGE[name], subject_prefix="p" * 60, unsubscribe_url="https://a.example/" + "u" * 880)
    assert len(part(request, "html").encode()) < CLIPPED_BYTES
    head = request.body.partition(b"\r\n\r\n")[0]
    assert request.body.isascii()
    lines = request.body.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert all(len(one) <= 78 for one in head.split(b"\r\n") if one.startswith((b"Subject", b" =?", b"From")))
    assert 1 <= len(str(parsed(request)["Subject"])) <= 150
    assert part(request, "plain").strip()


def test_nothing_hostile_is_more_than_text() -> None:
    request = smtp(
        HOSTILE_MESSAGE, subject_prefix="x\r\nBcc: eve@evil.example", from_name="Eve\r\nBcc: eve@evil.example"
    )
    found = parsed(request)
    expected = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"]
    assert found.keys() == [*expected, "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]
    assert request.recipients == ("ana@example.com",)
    assert "\u202e" not in request.body.decode() + part(request, "html") + part(request, "plain") + found["Subject"]
    html = Words(part(request, "html"))
    assert html.links() == ["https://a.example/%7Cx%3Ey%3C!channel%3E%60%22?a=1&b=2", "https://b.example/X-Injected:1"]
    assert set(html.tags) <= {
        "html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "span", "h1", "br", "a", "pre",
    }  # fmt: skip
    assert not any(name.startswith("on") for name, _ in html.attributes)
    assert "javascript:" not in " ".join(html.links())


TAGS = ["<script>alert(1)</script>", "</title><img src=x onerror=alert(1)>", '"><a href="javascript:x">', "--></style>"]


@pytest.mark.parametrize("words_", TAGS)
def test_no_tag_of_anybody_is_a_tag(words_: str) -> None:
    fields = dict.fromkeys(("emoji", "title", "cause", "text", "detail", "severity", "stage", "kind"), words_)
    message = msgspec.structs.replace(
        BASE,
        **fields,
        facts=((words_, words_),),
        footer=(words_,),
        actions=(Action(words_, f"https://a.example/{words_}"),),
        steps=(RunStep(words_, words_),),
    )
    usual = Words(part(smtp(msgspec.structs.replace(message, actions=(Action("x", "https://a.example/"),))), "html"))
    plain = Words(part(smtp(message, plain=True), "html"))
    found = Words(part(smtp(message), "html"))
    assert found.tags == usual.tags
    assert not {"script", "img", "a"} & set(plain.tags)
    assert len(found.links()) == 1


@given(st.text(max_size=300))
def test_a_header_is_one_header(text: str) -> None:
    """Read back, it is the text without what has no place in a line; and no header comes after it."""
    raw = f"Subject: {words(text)}\r\nX-Next: 1\r\n\r\nbody".encode("ascii")
    found = message_from_bytes(raw, policy=policy.default)
    assert found.keys() == ["Subject", "X-Next"]
    assert found.get_payload() == "body"
    clean = "".join(found["Subject"].split())
    assert all(char in text for char in clean)


@given(st.text(max_size=200))
def test_a_name_beside_an_address_adds_no_other(name: str) -> None:
    raw = f"From: {mailbox(name, 'a@b.example')}\r\nX-Next: 1\r\n\r\n".encode("ascii")
    found = message_from_bytes(raw, policy=policy.default)
    assert found.keys() == ["From", "X-Next"]
    assert [one.addr_spec for one in found["From"].addresses] == ["a@b.example"]


def test_words_that_look_encoded_are_encoded() -> None:
    assert words("=?utf-8?q?=0D=0ABcc:_x?=").startswith("=?utf-8?b?")
    assert words("plain") == "plain"
    assert words("a\r\nBcc: x\x00") == "a Bcc: x"
    assert all(len(one) <= 69 for one in encoded("😀" * 100).split("\r\n"))
    assert mailbox("", "a@b.example") == "a@b.example"
    assert mailbox('a "b" <c>, d', "a@b.example").startswith("=?utf-8?b?")
    assert date(AT_MS // 1000) == "Sat, 21 Nov 2026 02:00:00 +0000"


# SendGrid


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_what_sendgrid_takes(name: str, plain: bool) -> None:  # S3-02
    request = grid(EVERY_MESSAGE[name], plain=plain, cc=["bob@example.org"], from_name="Zürich, Wölfe; GmbH")
    sent = json.loads(request.body)
    assert not list(SCHEMA.iter_errors(sent))
    assert len(request.body) <= LIMITS["total_bytes"]
    assert [one["type"] for one in sent["content"]] == ["text/plain", "text/html"]
    assert sent["from"] == {"email": "alerts@example.com", "name": "Zurich Wolfe GmbH"}
    assert sent["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert dict(request.headers)["authorization"] == f"Bearer {KEY}"
    assert (request.method, request.url) == ("POST", "https://api.sendgrid.com/v3/mail/send")
    fake = FakeSendGrid()
    assert EMAIL.classify(ask(fake, request)) == Accepted("queued by SendGrid as fake000000000000000001")
    (taken,) = fake.mails
    assert (taken.to, taken.cc, taken.subject) == (["ana@example.com"], ["bob@example.org"], sent["subject"])


def test_sendgrid_carries_the_same_mail() -> None:
    sent = json.loads(grid(MESSAGES["run-failed"], unsubscribe_url="https://a.example/u", smtp_host="").body)
    other = smtp(MESSAGES["run-failed"], unsubscribe_url="https://a.example/u")
    assert {one["type"].partition("/")[2]: one["value"] for one in sent["content"]} == {
        kind: part(other, kind) for kind in ("plain", "html")
    }
    assert sent["subject"] == parsed(other)["Subject"]
    for name, value in sent["headers"].items():
        assert parsed(other)[name] == value
    assert set(sent["headers"]) >= {
        "Message-ID",
        "References",
        "In-Reply-To",
        "Auto-Submitted",
        "List-Unsubscribe-Post",
    }
    assert sent["personalizations"][0]["custom_args"] == {"delivery": "dlv_0198c5f2"}


@pytest.mark.parametrize("name", ["run-failed", "training-complete", "safety-rollback"])
def test_sends_what_the_golden_file_says_by_sendgrid(name: str, golden: Any) -> None:
    golden(f"email_sendgrid-{name}", json.loads(grid(MESSAGES[name]).body))


def test_nobody_gets_it_twice() -> None:
    settings: dict[str, Any] = {
        "to": ["ana@example.com", "Ana@Example.com", "bob@example.org"],
        "cc": ["bob@example.org", "cid@example.net"],
    }
    request = smtp(BASE, **settings)
    assert request.recipients == ("ana@example.com", "bob@example.org", "cid@example.net")
    assert read_mail(request.body)["headers"]["To"] == "ana@example.com, bob@example.org"
    fake = FakeSendGrid()
    assert isinstance(EMAIL.classify(ask(fake, grid(BASE, **settings))), Accepted)
    assert (fake.mails[0].to, fake.mails[0].cc) == (["ana@example.com", "bob@example.org"], ["cid@example.net"])


REFUSALS: list[tuple[int, str, Outcome]] = [
    (400, "The subject is required.", Rejected("HTTP 400: The subject is required. (field)", "message")),
    (401, "authorization required", Rejected("HTTP 401: authorization required (field)", "credential")),
    (401, "Maximum credits exceeded", Retry("HTTP 401: Maximum credits exceeded (field)", 3600.0, rate_limited=True)),
    (403, "access forbidden", Rejected("HTTP 403: access forbidden (field)", "credential")),
    (404, "not found", Rejected("HTTP 404: not found (field)", "endpoint")),
    (405, "method not allowed", Rejected("HTTP 405: method not allowed (field)", "message")),
    (413, "content too large", Rejected("HTTP 413: content too large (field)", "message")),
    (429, "too many requests", Retry("HTTP 429: too many requests (field)", rate_limited=True)),
    (500, "internal server error", Retry("HTTP 500: internal server error (field)")),
    (503, "try later", Retry("HTTP 503: try later (field)")),
]


@pytest.mark.parametrize("status, told, outcome", REFUSALS)
def test_what_sendgrid_refuses(status: int, told: str, outcome: Outcome) -> None:
    body = json.dumps({"errors": [{"message": told, "field": "field", "help": None}]})
    assert EMAIL.classify(reply(status, body)) == outcome


def test_what_the_schema_documents_has_a_meaning() -> None:
    for name, answer in OPENAPI["components"]["responses"].items():
        if name.startswith("PostMailSend"):
            (example,) = answer["content"]["application/json"]["examples"].values()
            outcome = EMAIL.classify(reply(int(name[-3:]), json.dumps(example["value"])))
            assert isinstance(outcome, Rejected | Retry)
            assert example["value"]["errors"][0]["message"] in outcome.reason


def test_only_202_is_taken() -> None:
    assert EMAIL.classify(reply(202)) == Accepted("queued by SendGrid")
    assert EMAIL.classify(reply(200, "<html>log in</html>")) == Retry(
        "answered, but not with 202: HTTP 200: <html>log in</html>"
    )


@pytest.mark.parametrize(
    "headers, after_s",
    [
        ({"retry_after": "7"}, 7.0),
        ({"x_ratelimit_reset": "1795226430", "date": "Sat, 21 Nov 2026 02:00:00 GMT"}, 30.0),
        ({"x_ratelimit_reset": "1795226000", "date": "Sat, 21 Nov 2026 02:00:00 GMT"}, 1.0),
        ({"x_ratelimit_reset": "99999999999999", "date": "Sat, 21 Nov 2026 02:00:00 GMT"}, 86400.0),
        ({"x_ratelimit_reset": "1795226430"}, None),
        ({"x_ratelimit_reset": "soon", "date": "Sat, 21 Nov 2026 02:00:00 GMT"}, None),
        ({"x_ratelimit_reset": "1795226430", "date": "yesterday"}, None),
    ],
)
def test_waits_until_the_limit_is_reset(headers: dict[str, str], after_s: float | None) -> None:  # S1-03
    assert EMAIL.classify(reply(429, **headers)) == Retry("HTTP 429", after_s, rate_limited=True)


# The fake


def test_the_fake_refuses_what_sendgrid_refuses() -> None:
    good = json.loads(grid(BASE).body)

    def told(**change: Any) -> Any:
        answer = ask(FakeSendGrid(), msgspec.structs.replace(grid(BASE), body=json.dumps(good | change).encode()))
        return None if answer.status == 202 else json.loads(answer.body)["errors"][0]["field"]

    ana, bad = {"email": "ana@example.com"}, {"email": "ana at home"}
    assert told() is None
    assert told(personalizations=[]) == "personalizations"
    assert told(personalizations=[{"to": []}]) == "personalizations.0.to"
    assert told(personalizations=[{"to": [bad]}]) == "personalizations.0.to.0.email"
    assert told(personalizations=[{"to": [ana], "cc": [ana]}]) == "personalizations.0"
    assert told(personalizations=[{"to": [{"email": f"a{n}@b.example"} for n in range(1001)]}]) == "personalizations"
    assert (
        told(personalizations=[{"to": [ana], "custom_args": {"a": "x" * 10_000}}]) == "personalizations.0.custom_args"
    )
    assert told(subject="") == "subject"
    assert told(content=[]) == "content"
    assert told(content=good["content"][::-1]) == "content"
    assert told(content=[{"type": "text/plain", "value": ""}]) == "content.0.value"
    assert told(headers={"Subject": "x"}) == "headers"
    assert told(**{"from": {"email": "x"}}) == "from.email"
    assert told(**{"from": {"email": "a@b.example", "name": "Ü"}}) == "from.name"
    assert told(unknown=1) == "unknown"


def test_the_fake_knows_its_keys_and_senders() -> None:
    fake, request = FakeSendGrid(), grid(BASE)
    fake.next.append(Answer(503, b""))
    assert ask(fake, request).status == 503
    fake.dead_keys.add(KEY)
    assert EMAIL.classify(ask(fake, request)) == Rejected(
        "HTTP 401: The provided authorization grant is invalid, expired, or revoked", "credential"
    )
    fake.dead_keys.clear()
    fake.verified = {"somebody@example.com"}
    refused = EMAIL.classify(ask(fake, request))
    assert isinstance(refused, Rejected)
    assert (refused.scope, "verified Sender Identity" in refused.reason) == ("credential", True)
    fake.verified, fake.credits = set(), 0
    limited = EMAIL.classify(ask(fake, request))
    assert isinstance(limited, Retry)
    assert limited.rate_limited
    for change in ({"url": request.url + "/x"}, {"method": "PUT"}, {"body": b"{"}, {"body": b"[]"}):
        answer = ask(FakeSendGrid(), msgspec.structs.replace(request, **change))
        assert isinstance(answer, HttpReply)
        assert 400 <= answer.status < 500
    assert fake.mails == []


# Mail servers


@pytest.mark.parametrize(
    "code, said, outcome",
    [
        (250, "2.0.0 queued as 42", Delivered()),
        (251, "will forward", Delivered()),
        (250, "queued\nrefused 1 of 2: 550 5.1.1 unknown", Accepted("refused 1 of 2: 550 5.1.1 unknown")),
        (421, "4.4.2 idle", Retry("421 4.4.2 idle")),
        (450, "4.2.0 greylisted", Retry("450 4.2.0 greylisted")),
        (451, "Authentication failed: Maximum credits exceeded", None),
        (454, "4.7.0 Temporary authentication failure", None),
        (535, "5.7.8 wrong", Rejected("535 5.7.8 wrong", "credential")),
        (534, "5.7.9 weak", Rejected("534 5.7.9 weak", "credential")),
        (530, "5.7.0 log in first", Rejected("530 5.7.0 log in first", "credential")),
        (550, "5.1.1 no such user", Rejected("550 5.1.1 no such user", "endpoint")),
        (550, "no such user\nrefused 1 of 1", Rejected("550 no such user", "endpoint")),
        (450, "later\nrefused 2 of 2", Retry("450 later")),
        (550, "looks like spam", Rejected("550 looks like spam", "message")),
        (553, "5.1.3 bad address", Rejected("553 5.1.3 bad address", "endpoint")),
        (550, "5.2.1 disabled", Rejected("550 5.2.1 disabled", "endpoint")),
        (550, "5.7.1 looks like spam", Rejected("550 5.7.1 looks like spam", "message")),
        (552, "5.3.4 too large", Rejected("552 5.3.4 too large", "message")),
        (552, "5.2.2 mailbox full", Rejected("552 5.2.2 mailbox full", "message")),
        (554, "5.7.1 policy\nsee https://x.example", Rejected("554 5.7.1 policy see https://x.example", "message")),
        (500, "what", Rejected("500 what", "message")),
        (354, "go", Retry("354 go")),
        (0, "", Retry("0")),
    ],
)
def test_what_a_mail_server_means(code: int, said: str, outcome: Outcome | None) -> None:
    assert EMAIL.classify(SmtpReply(code, said.encode())) == (outcome or Retry(f"{code} {said}"))


# Settings


def test_the_request_says_how_to_send_it() -> None:
    request = smtp(BASE, smtp_port=465, smtp_tls="tls")
    assert (request.host, request.port, request.tls) == ("mail.example.com", 465, "tls")
    assert (request.username, request.password, request.sender) == ("alerts", TOKEN, "alerts@example.com")
    assert not request.trusted
    given = sending(EMAIL, BASE)
    target = msgspec.structs.replace(given.target, trusted=True)
    trusted = EMAIL.render(msgspec.structs.replace(given, target=target))
    assert isinstance(trusted, SmtpRequest)
    assert trusted.trusted


GOOD = [
    "a@b.example",
    "ana.b+x@sub.example.com",
    "o'neil@example.org",
    f"{'a' * 64}@example.com",
    "x@xn--bcher-kva.example",
]
BAD = [
    "", "ana", "ana@", "@example.com", "ana@example", "a b@example.com", "ana@example.com ", "ana@exa mple.com",
    "ana@example.com\r\nBcc: x@y.example", "ana@example.com\n", "ana@example.com,bob@example.com", "<ana@example.com>",
    "Ana <ana@example.com>", '"ana b"@example.com', "ana(c)@example.com", "ana@@example.com", ".ana@example.com",
    "a..b@example.com", "ana@-example.com", "ana@example-.com", "ana@.com", "ana@127.0.0.1", "ana@[127.0.0.1]",
    "änä@example.com", "ana@exämple.com", "ana@example.com\x00", f"{'a' * 65}@example.com", f"a@{'b' * 64}.com",
    f"a@{'b.' * 126}com", "ana@example.com;bob@example.com",
]  # fmt: skip


@pytest.mark.parametrize("address", GOOD)
def test_addresses(address: str) -> None:
    given = {"to": [address], "from_address": address}
    assert msgspec.convert(given, EmailSettings).to == (address,)


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_address_is_refused_and_not_repeated(address: str) -> None:  # S1-14
    for field in ("to", "cc"):
        with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}\[0\]") as refused:
            msgspec.convert({"to": ["a@b.example"]} | {field: [address]}, EmailSettings)
        assert len(address) < 5 or address not in str(refused.value)
    if address:
        with pytest.raises(msgspec.ValidationError, match="from_address"):
            msgspec.convert({"to": ["a@b.example"], "from_address": address}, EmailSettings)


@pytest.mark.parametrize(
    "field, value",
    [
        ("to", []),
        ("to", ["a@b.example"] * 51),
        ("cc", ["a@b.example"] * 51),
        ("smtp_port", 0),
        ("smtp_port", 65536),
        ("smtp_tls", "ssl"),
        ("smtp_host", "a b"),
        ("smtp_host", "mail.example\r\n"),
        ("smtp_host", "user@mail.example"),
        ("smtp_username", "a\r\nb"),
        ("unsubscribe_url", "javascript:alert(1)"),
        ("unsubscribe_url", "https://a.example/>\r\nBcc: x"),
        ("unsubscribe_url", 'https://a.example/"onclick='),
        ("theme_color", "red"),
        ("theme_color", '#ffffff"'),
        ("subject_prefix", "x" * 61),
    ],
)
def test_settings_that_will_not_do(field: str, value: Any) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=rf"\$\.{field}"):
        msgspec.convert({"to": ["a@b.example"]} | {field: value}, EmailSettings)


WHOLE: dict[str, Any] = {"to": ("a@b.example",), "from_address": "c@d.example", "smtp_host": "mail.example"}


@pytest.mark.parametrize(
    "change, field",
    [
        ({"smtp_host": ""}, "settings.smtp_host"),
        ({"from_address": ""}, "settings.from_address"),
        ({"sendgrid_api_key": "SG.secretsecretsecret"}, "settings.sendgrid_api_key"),
        ({"sendgrid_api_key": KEY + "\r\nX: 1"}, "settings.sendgrid_api_key"),
        ({"smtp_username": "ana"}, "settings.smtp_password"),
        ({"smtp_password": "secretsecretsecret"}, "settings.smtp_password"),
        ({"smtp_username": "ana", "smtp_password": "secretsecret\x00secret"}, "settings.smtp_password"),
    ],
)
def test_settings_that_do_not_fit_together(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_settings(EmailSettings(**(WHOLE | change)))
    assert refused.value.field == field
    assert "secretsecret" not in refused.value.detail


def test_settings_that_do() -> None:
    check_settings(EmailSettings(**WHOLE))
    check_settings(EmailSettings(**WHOLE, smtp_username="ana", smtp_password="x"))
    check_settings(EmailSettings(**(WHOLE | {"smtp_host": "", "sendgrid_api_key": KEY})))
    assert re.fullmatch(PATTERNS["patterns"]["sendgrid_key"], KEY)


def test_the_hint_names_whom_it_is_for() -> None:
    def hint(*to: str) -> str:
        return EMAIL.hint(EmailSettings(to=to))

    assert hint("ana@example.com") == "ana@example.com"
    assert hint("ana@example.com", "bob@example.com") == "ana@example.com, bob@example.com"
    assert hint(*(f"p{n}@example.com" for n in range(9))) == "p0@example.com, p1@example.com +7"
    assert len(hint(*(f"{'a' * 60}{n}@{'b' * 60}.example" for n in range(9)))) <= 90


def test_what_the_operator_gives_for_all() -> None:  # S3-02
    given = {name for group in EMAIL.operator for name in group}
    assert given <= set(EmailSettings.__struct_fields__)
    assert EMAIL.operator[0][0] == "smtp_host"
