"""One message that tells of many: what happened, how often, the last of each."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tests.compose.samples import AT_MS, HOSTILE, LINKS, TRACEBACK, event
from tests.providers.all_requests import shown as shown_request
from tests.providers.examples import EXAMPLES, sending
from tocsin.compose.folded import LINES, compose_folded, own, shown
from tocsin.compose.message import NAME_CHARS, TITLE_CHARS
from tocsin.model.delivery import Alike, Company, Words
from tocsin.model.event import KINDS, SEVERITIES, Event
from tocsin.model.message import FOLDED, Message
from tocsin.provider_kit.body import body
from tocsin.provider_kit.provider import Provider
from tocsin.providers import PROVIDERS

MINUTE_MS = 60_000
WORDS = Words(fold="pipeline=etl/orders")


def happened(kind: str, minute: int = 0, *, pipeline: str = "etl/orders", **fields: Any) -> Event:
    severity = fields.pop("severity", "error" if kind.endswith("failed") else "info")
    at_ms = AT_MS + minute * MINUTE_MS
    return event(
        fields.pop("type", kind), kind, pipeline=pipeline, severity=severity, time_ms=at_ms, uid=f"evt_{minute:04}",
        id=f"e-{minute}", **fields,
    )  # fmt: skip


def company(others: list[Event]) -> Company:
    """As the store finds it: what is alike, with the newest of it; deliveries are named in the order of the events."""
    found: dict[tuple[str, ...], Alike] = {}
    for number, one in enumerate(others):
        alike = own(one, Words())
        key = (alike.pipeline, alike.kind, alike.type, alike.source, alike.severity)
        known = found.get(key, replace(alike, count=0))
        found[key] = replace(
            known,
            count=known.count + 1,
            first_ms=min(known.first_ms, one.time_ms),
            last_ms=max(known.last_ms, one.time_ms),
            newest=f"dlv_{number:04}",
        )
    events = {f"dlv_{number:04}": (one, Words()) for number, one in enumerate(others)}
    return Company(len(others), tuple(found.values()), tuple(one.id for one in others), events)


def folded(*events: Event, words: Words = WORDS) -> Message:
    first, *others = events
    return compose_folded(first, company(others), words)


def orders(failed: int = 5, succeeded: int = 2) -> list[Event]:
    told = [happened("run.failed", n, data={"error": f"{TRACEBACK}\nexit status {n}"}) for n in range(failed)]
    return told + [happened("run.succeeded", failed + n) for n in range(succeeded)]


def test_says_how_many_of_what_and_why_they_are_together() -> None:
    message = folded(*orders())
    assert message.title == "7 events: 5 failed, 2 succeeded — pipeline=etl/orders"
    assert message.text.split("\n") == [
        "❌ etl/orders failed: exit status 4 (5×, last 02:04)",
        "✅ etl/orders succeeded (2×, last 02:06)",
    ]
    assert message.sentence == (
        "❌ 7 events: 5 failed, 2 succeeded — pipeline=etl/orders. "
        "etl/orders failed: exit status 4 (5×, last 02:04)."
    )  # fmt: skip
    assert message.facts == (("Failed", "5"), ("Succeeded", "2"), ("Time", "02:00 – 02:06 UTC"))
    assert message.footer == ("7 events in one message: pipeline=etl/orders",)
    assert (message.tone, message.emoji, message.severity) == ("bad", "❌", "error")
    assert (message.pipeline, message.run_id, message.run_status, message.cause) == ("etl/orders", "", "", "")


def test_the_worst_comes_first_then_the_newest_and_it_has_the_link() -> None:
    message = folded(
        happened("run.succeeded", 9, pipeline="a"),
        happened("run.failed", 1, pipeline="b"),
        happened("run.exceeded", 8, pipeline="c", severity="warning"),
        happened("run.failed", 5, pipeline="d", links=LINKS),
        happened("safety.rollback", 0, pipeline="e", severity="critical"),
    )
    assert [line.split()[1].strip(":") for line in message.text.split("\n")] == ["Rolled", "d", "b", "c", "a"]
    assert (message.tone, message.severity) == ("rollback", "critical")
    assert folded(happened("run.succeeded"), happened("run.failed", 1, links=LINKS)).links == LINKS
    (opens, *_) = folded(happened("run.succeeded"), happened("run.failed", 1, links=LINKS)).actions
    assert opens.url == LINKS["run"]
    assert message.title.startswith("5 events: 1 rolled back, 2 failed, 1 too slow, 1 succeeded — ")


def test_what_does_not_fit_is_counted() -> None:
    many = [happened("run.failed", n, pipeline=f"p{n:02}") for n in range(40)] + [
        happened("run.succeeded", 50 + n, pipeline="p00") for n in range(3)
    ]
    message = folded(*many, words=Words(fold="the daily digest"))
    lines = message.text.split("\n")
    assert len(lines) == LINES + 1
    assert lines[0].startswith("❌ p39 failed")
    assert lines[-1] == "+31 more"
    assert ("Pipelines", "40") in message.facts
    assert message.title == "43 events: 40 failed, 3 succeeded — the daily digest"
    assert message.pipeline == ""


def test_events_that_nobody_could_list_are_counted_still() -> None:
    """The store names 2,000 lines at the most; `count` is all of them."""
    found = company(orders())
    message = compose_folded(happened("run.failed"), replace(found, count=9_999), WORDS)
    assert message.title.startswith("10,000 events: ")
    assert message.text.split("\n")[-1] == "+9,992 more"


def test_the_same_of_one_pipeline_is_one_line_whatever_its_severity() -> None:
    message = folded(happened("run.failed"), happened("run.failed", 1, severity="critical"))
    assert message.text == "❌ etl/orders failed (2×, last 02:01)"
    assert message.severity == "critical"


def test_one_of_a_kind_says_it_in_its_own_words() -> None:
    message = folded(
        happened("run.failed", title="Orders failed to load", data={"error": "disk full"}),
        happened("stage.failed", 1, stage="load"),
        happened("other", 2, type="deploy.smoke_test_done"),
    )
    assert message.text.split("\n") == [
        '❌ etl/orders: step "load" failed (02:01)',
        "❌ Orders failed to load: disk full (02:00)",
        "ℹ️ etl/orders: deploy smoke test done (02:02)",
    ]
    assert message.title == "3 events: 1 failed, 1 step failed, 1 other — pipeline=etl/orders"


def test_alerts_without_a_pipeline_are_known_by_their_source() -> None:
    alerts = [happened("alert", n, pipeline="", severity="critical", title=f"Disk full on db{n}") for n in range(3)]
    message = folded(*alerts, words=Words(fold="more than 5 in 60 s"))
    assert message.text == "🚨 airflow raised a critical alert: Disk full on db2 (3×, last 02:02)"
    assert message.title == "3 events: 3 alerts — more than 5 in 60 s"


def test_unknown_kinds_alone_are_not_counted_by_kind() -> None:
    message = folded(*(happened("other", n, type="deploy.done") for n in range(2)))
    assert message.title == "2 events — pipeline=etl/orders"
    assert message.facts == (("Time", "02:00 – 02:01 UTC"),)


def test_several_days_have_dates() -> None:
    message = folded(happened("run.failed"), happened("run.failed", 3 * 24 * 60), words=Words(fold="the weekly digest"))
    assert ("Time", "21 Nov 02:00 – 24 Nov 02:00 UTC") in message.facts
    assert "(2×, last 24 Nov 02:00)" in message.text


def test_the_title_that_the_rule_found_is_told() -> None:
    found = company([happened("run.failed", 1), happened("run.succeeded", 2)])
    said = {"dlv_0001": (happened("run.succeeded", 2), Words(note="recovered after 2m 00s, 2 failures"))}
    message = compose_folded(
        happened("run.failed", pipeline="b"),
        replace(found, events=found.events | said),
        Words(fold="quiet hours", title="b: 3 failures in a row"),
    )
    assert message.text.split("\n") == [
        "❌ etl/orders failed (02:01)",
        "❌ b: 3 failures in a row (02:00)",
        "✅ etl/orders succeeded: recovered after 2m 00s, 2 failures (02:02)",
    ]


def test_what_a_rule_found_counts_for_more_than_the_event() -> None:
    """A good run whose metric fell is trouble, and a recovery is none."""
    fell, rose = happened("run.succeeded", 1), happened("run.failed", 2)
    found = company([fell, rose])
    said = (
        ("alert", Words(kind="alert", title="accuracy 0.81 is below 0.9")),
        ("alert.resolved", Words(kind="alert.resolved")),
    )
    alike = tuple(replace(one, found=kind) for one, (kind, _) in zip(found.alike, said, strict=True))
    events = {"dlv_0000": (fell, said[0][1]), "dlv_0001": (rose, said[1][1])}
    message = compose_folded(happened("run.started"), replace(found, alike=alike, events=events), WORDS)
    assert message.text.split("\n") == [
        "🚨 accuracy 0.81 is below 0.9 (02:01)",
        "⏳ etl/orders started (02:00)",
        "✅ etl/orders is back to normal (02:02)",
    ]
    assert message.title == "3 events: 1 alert, 1 started, 1 back to normal — pipeline=etl/orders"
    assert (message.tone, message.severity) == ("bad", "error")


def test_machines_get_the_ids() -> None:
    found = json.loads(body(folded(*orders())))
    assert (found["type"], found["kind"], found["severity"], found["id"]) == (FOLDED, "other", "error", "evt_0000")
    assert found["data"]["folded"] == [f"e-{n}" for n in range(7)]
    assert (found["data"]["count"], found["data"]["kinds"]) == (7, {"run.failed": 5, "run.succeeded": 2})
    assert found["title"].startswith("7 events")
    assert json.loads(body(folded(*orders()), "cloudevents"))["data"]["data"]["count"] == 7
    assert json.loads(body(folded(*orders()), "simple"))["data"]["folded"][0] == "e-0"


def test_the_same_events_make_the_same_bytes() -> None:
    found = company(orders()[1:])
    turned = replace(found, alike=found.alike[::-1])
    one, two = (compose_folded(orders()[0], each, WORDS) for each in (found, turned))
    assert body(one) == body(two)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 3])
def test_every_kind_has_words(kind: str, count: int) -> None:
    for severity in SEVERITIES:
        message = folded(*(happened(kind, n, severity=severity) for n in range(count)))
        assert message.title.startswith(f"{count} events")
        assert len(message.text.split("\n")) == 1
        assert "  " not in message.text


@pytest.mark.parametrize("hostile", [HOSTILE, "\n\n", "👨‍👩‍👧‍👦" * 60, "a" * 9000, "`*_~|" * 50])
def test_hostile_words_stay_in_their_lines(hostile: str) -> None:
    events = [
        happened("run.failed", n, pipeline=hostile[:256], title=hostile[:512], data={"error": hostile}, source=hostile)
        for n in range(2)
    ]
    message = folded(*events, happened("run.succeeded", 3), words=Words(fold=f"pipeline={hostile}"))
    assert len(message.title) <= TITLE_CHARS
    assert "\n" not in message.title + message.sentence + message.footer[0]
    lines = message.text.split("\n")
    assert len(lines) == 2
    assert all(len(line) <= 240 for line in lines)


def test_shown_names_what_has_to_be_loaded() -> None:
    first, *others = [happened("run.failed", n, pipeline=f"p{n:02}") for n in range(30)]
    assert shown(first, company(others), WORDS) == [f"dlv_{n:04}" for n in range(28, 28 - LINES, -1)]
    assert shown(first, company([]), WORDS) == []
    assert len(first.pipeline) <= NAME_CHARS


@pytest.fixture(params=[p for p in PROVIDERS.values() if p.resolve is None], ids=lambda provider: str(provider.kind))
def provider(request: pytest.FixtureRequest) -> Provider:
    """Those that open and close alarms are never sent one."""
    found: Provider = request.param
    return found


def test_every_provider_says_how_many_and_what_was_worst(provider: Provider) -> None:
    message = folded(*orders())
    request = provider.render(sending(provider, message))
    told = json.dumps(shown_request(request), ensure_ascii=False)
    assert "7 events" in told
    assert "exit status 4" in told or "exit%20status%204" in told
    assert EXAMPLES[provider.kind]
