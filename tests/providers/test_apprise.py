"""Apprise: which services are let in, what they are told, what its yes and no mean."""

import ast
import contextlib
import inspect
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.compose.samples import HOSTILE
from tests.providers.examples import BASE, MESSAGES, TOKEN, provider_of, sending
from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import Accepted, AppriseReply, AppriseRequest, Rejected, Retry
from tocsin.provider_kit import apprise_service
from tocsin.provider_kit.apprise_service import OTHER_WAYS, fitted, refusal, service
from tocsin.providers.apprise import AppriseSettings, harmless

PROVIDER = provider_of("apprise")

WELL_KNOWN = {
    "discord",
    "gotifys",
    "jsons",
    "matrixs",
    "ntfys",
    "pover",
    "rockets",
    "signals",
    "slack",
    "tgram",
    "zulip",
}
NEVER = {
    "amqps", "aprs", "blink1", "dbus", "deltachat", "gio", "glib", "gnome", "growl", "irc", "ircs", "kde", "macosx",
    "mailto", "mailtos", "mqtt", "mqtts", "nostr", "qt", "rsyslog", "smpp", "syslog", "vapid", "windows", "xmpp",
    "xmpps",
}  # fmt: skip


def request_of(message: Message, **settings: Any) -> AppriseRequest:
    found = PROVIDER.render(sending(PROVIDER, message, **settings))
    assert isinstance(found, AppriseRequest)
    return found


def text_of(message: Message, **settings: Any) -> str:
    return request_of(message, **settings).body.decode()


def kinds() -> dict[str, Any]:
    """Every service of the installed Apprise, by its schemes."""
    _, _, manager = apprise_service._apprise()
    return {scheme: kind for kind in manager.plugins() for scheme in kind.schemas(kind)}


# Which services


def test_the_well_known_ones_are_let_in_and_the_local_ones_never() -> None:
    found = kinds()
    assert not {scheme for scheme in WELL_KNOWN if refusal(found[scheme])}
    assert not {scheme for scheme in NEVER & set(found) if not refusal(found[scheme])}
    assert len(NEVER & set(found)) > 20


def test_what_is_let_in_imports_nothing_else_anywhere() -> None:
    """`refusal` looks at names; this reads the sources, the insides of functions too."""
    for kind in set(kinds().values()):
        if refusal(kind):
            continue
        imported = {name for file in sources(kind) for name in imports(file)}
        assert "requests" in imported, kind
        assert not imported & OTHER_WAYS, (kind, imported & OTHER_WAYS)


def sources(kind: type[Any]) -> set[Path]:
    found: set[Path] = set()
    for one in kind.__mro__:
        if one.__module__.startswith("apprise.plugins.") and one.__module__ != "apprise.plugins.base":
            file = Path(inspect.getfile(one))
            package = len(one.__module__.split(".")) > 3 or file.name == "__init__.py"
            found |= set(file.parent.glob("*.py")) if package else {file}
    return found


def imports(file: Path) -> Iterator[str]:
    """Absolute imports by their name, relative ones of Apprise's helpers as `apprise.utils.…`."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield f"apprise.{module}"
            yield from (f"apprise.{module}.{alias.name}" for alias in node.names)


def test_what_apprise_did_not_ship_is_refused() -> None:
    class Own:
        __module__ = "somewhere"

    own: Any = Own
    assert refusal(own) == "this is not one of Apprise's own"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mailto://ana:{token}@example.com", "mailto://"),
        ("syslog://", "syslog://"),
        ("file:///etc/passwd", "appriseit.com"),
        ("{token}", "appriseit.com"),
        ("", "appriseit.com"),
        ("nosuch://{token}", "appriseit.com"),
        ("discord://{token}", "discord://{{webhook_id}}/{{webhook_token}}"),
        ("jsons://a.example/{token}?verify=no", "certificates are always checked"),
        ("discord://123456789/{token}?template=/etc/passwd", "a file as template"),
        ("discord://123456789/{token}?template=http://169.254.169.254/", "a file as template"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/{token}", "a file as template"),
        ("fcm://project@{token}/target?keyfile=/etc/{token}", "a file as keyfile"),
        ("jsons://a.example/ {token}", "ASCII"),
        ("jsons://a.example/ä{token}", "ASCII"),
        ("jsons://a.example/\n{token}", "ASCII"),
    ],
)
def test_what_will_not_do_is_refused_and_not_repeated(url: str, says: str) -> None:  # S1-14
    with pytest.raises(Invalid) as refused:
        service(url.format(token=TOKEN))
    assert refused.value.field == "settings.url"
    assert says.replace("{{", "{").replace("}}", "}") in refused.value.detail
    assert TOKEN not in refused.value.detail


@pytest.mark.parametrize(
    "url",
    [
        f"jsons://a.example/{TOKEN}",
        f"gotifys://a.example/{TOKEN}",
        f"https://discord.com/api/webhooks/123456789/{TOKEN}",
        f"ntfys://{TOKEN}@ntfy.example/topic?priority=high&tags=a,b",
    ],
)
def test_what_will_do_is_taken(url: str) -> None:
    assert PROVIDER.check_settings is not None
    PROVIDER.check_settings(AppriseSettings(url=url))
    assert PROVIDER.hint(AppriseSettings(url=url)) == url.partition("://")[0]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Invalid, match=r"pip install 'tocsin\[apprise\]'"):
        service(f"jsons://a.example/{TOKEN}")


def test_nothing_is_logged_or_printed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    ours = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(ours)])
    for url in (f"nosuch://{TOKEN}", f"discord://{TOKEN}", f"jsons://a.example/?rto={TOKEN}&format={TOKEN}"):
        with contextlib.suppress(Invalid):
            service(url)
    assert TOKEN not in ours.getvalue() + "".join(capfd.readouterr())


# What they are told


def test_tones() -> None:
    tones = {name: request_of(message).tone for name, message in MESSAGES.items()}
    assert (tones["run-failed"], tones["run-succeeded"], tones["run-exceeded"]) == ("failure", "success", "warning")
    assert (tones["run-started"], tones["safety-rollback"]) == ("info", "failure")


def test_the_cause_comes_first_and_links_are_whole_or_left_out() -> None:
    text = text_of(MESSAGES["run-failed"])
    assert text.startswith(MESSAGES["run-failed"].cause)
    assert "Open run: https://airflow.example/runs/8f3a21c\n" in text
    assert "https://" not in text_of(MESSAGES["run-failed"], include_action_buttons=False)
    long = msgspec.structs.replace(BASE, actions=(Action("x", "https://a.example/" + "a" * 3000),))
    assert "a.example" not in text_of(long)


def test_a_run_under_way_shows_how_far_it_is() -> None:
    steps = (RunStep("load", "succeeded", 1000), RunStep("train", "running"))
    message = msgspec.structs.replace(MESSAGES["run-started"], steps=steps, run_status="running")
    assert "▰▱ 1/2 train" in text_of(message)
    assert "▰" not in text_of(MESSAGES["run-failed"])


def test_plain_is_words_and_links() -> None:
    request = PROVIDER.render(sending(PROVIDER, MESSAGES["run-failed"], plain=True))
    assert b"Traceback" not in request.body
    assert b"Duration" not in request.body
    assert b"Open run: https://" in request.body


def test_a_message_without_anything_says_its_sentence() -> None:
    bare = msgspec.structs.replace(BASE, cause="", text="", detail="", facts=(), actions=(), footer=())
    assert text_of(bare) == BASE.sentence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone @here", "＠everyone ＠here"),
        ("<!channel> <@U012AB3CD> <@&12>", "‹!channel> ‹＠U012AB3CD> ‹@&12>"),
        (
            "<https://evil.example|ok> [x](javascript:alert(1)) [x][1]",
            "‹https://evil.example|ok> [x] (javascript:alert(1)) [x] [1]",
        ),
        ("ana@example.com a < b 3 @ 4", "ana@example.com a < b 3 @ 4"),
    ],
)
def test_mentions_and_hidden_links_are_harmless(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_hostile_words_are_harmless_everywhere() -> None:
    message = msgspec.structs.replace(
        BASE, title=HOSTILE, cause=HOSTILE, text=HOSTILE, detail=HOSTILE, facts=((HOSTILE, HOSTILE),),
        footer=(HOSTILE,), actions=(Action(HOSTILE, "https://a.example"),),
    )  # fmt: skip
    request = request_of(message)
    for words in (request.title, request.body.decode()):
        for bad in ("@everyone", "<!channel", "<@U", "](", "<https", "\x1b", "\u202e", "\r"):
            assert bad not in words


@pytest.mark.parametrize(
    "url",
    [
        "discord://123456789/abcdefghijklmnop",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "jsons://a.example",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
        "twilio://AC" + "a" * 32 + ":" + "b" * 32 + "@15551235553/15551235554",
        "pover://" + "u" * 30 + "@" + "a" * 30,
    ],
)
@pytest.mark.parametrize("filler", ["a", "ä", "&<>", "👨‍👩‍👧‍👦", "🇩🇪", "*_`\\"])
@pytest.mark.parametrize("chars", [1, 200, 50_000])
def test_every_service_gets_what_it_takes(url: str, filler: str, chars: int) -> None:
    plugin = service(url)
    title, text = fitted(plugin, (filler * chars)[:chars], (filler * chars)[:chars])
    calls = list(plugin._build_send_calls(body=text, title=title, body_format="text", overflow="truncate"))
    assert len(calls) == 1
    assert len(calls[0]["body"]) <= plugin.body_maxlen
    assert len(calls[0]["title"]) <= max(plugin.title_maxlen, 0)
    assert text
    if chars == 1:
        assert (title, text) == (filler[0], filler[0])
    assert len(fitted(plugin, "title", "")[1]) == 5


# What its answer means


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("", Retry("Apprise says that it failed")),
        ("A Connection error occurred", Retry("A Connection error occurred")),
        ("HTTP 500: Failed", Retry("HTTP 500: Failed")),
        ("HTTP 302: Failed", Retry("HTTP 302: a redirect is not followed")),
        ("HTTP 429: slow down", Retry("HTTP 429: slow down", rate_limited=True)),
        ("HTTP 429, retry after 30 s: slow down", Retry("HTTP 429: slow down", 30.0, rate_limited=True)),
        ("HTTP 503, retry after 7 s: busy", Retry("HTTP 503: busy", 7.0)),
        ("HTTP 400: bad", Rejected("HTTP 400: bad", "message")),
        ("HTTP 401: who", Rejected("HTTP 401: who", "message")),
        ("HTTP 404: gone", Rejected("HTTP 404: gone", "message")),
        ("HTTP 410: gone", Rejected("HTTP 410: gone", "message")),
        ("HTTP 200: odd", Retry("HTTP 200: odd")),
        ("HTTP 99999: odd", Retry("HTTP 99999: odd")),
    ],
)
def test_no_is_read_as_far_as_it_goes(body: str, outcome: object) -> None:
    assert PROVIDER.classify(AppriseReply(False, body.encode())) == outcome


def test_yes_is_taken_and_not_proved() -> None:
    outcome = PROVIDER.classify(AppriseReply(True))
    assert isinstance(outcome, Accepted)
    assert outcome.note


def test_settings() -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match="url"):
        msgspec.convert({}, AppriseSettings)
    assert repr(request_of(BASE)) == "AppriseRequest(***)"
