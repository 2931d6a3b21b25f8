"""Every state that a delivery can be in has words, and the sentence that answers is put together from them."""

from typing import Any

import pytest
from msgspec.structs import replace

from tocsin.model.delivery import STATUSES
from tocsin.model.event import Event
from tocsin.model.fate import Fate, Head
from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.rules.explain import MOST_OTHERS, Chapter, explain, fate_of, names, story
from tocsin.rules.index import compile_rule
from tocsin.rules.plan import Decision

NOW_MS = 1_795_269_600_000  # 2026-11-21 14:00 UTC
NOW, LATER = "2026-11-21 14:00 UTC", "2026-11-21 15:00 UTC"
HOUR_MS = 3_600_000
EVENT = Event(
    uid="evt_1", tenant_id="t", id="e", source="s", type="run.failed", kind="run.failed", time_ms=0, received_ms=0
)
FATE = Fate(id="dlv_1", event_uid="evt_1", endpoint_id="whk_1", endpoint="orders", rule_id="rul_1", status="pending")


def fate(status: str, **fields: Any) -> Fate:
    return replace(FATE, status=status, **fields)


def head(status: str, reason: str = "") -> Head:
    return Head("dlv_0", status, reason, NOW_MS + HOUR_MS, NOW_MS if status == "delivered" else None)


FATES: list[tuple[Fate, str, str]] = [
    (fate("delivered", delivered_ms=NOW_MS), "told", f"told at {NOW}"),
    (fate("delivered", delivered_ms=NOW_MS, reason="unprovable"), "told", f"told at {NOW}: unprovable"),
    (fate("delivered", delivered_ms=NOW_MS, common="a=b"), "told", f"told at {NOW} together with others (a=b)"),
    (fate("sending"), "waits", "it is on its way"),
    (fate("pending"), "waits", "it waits for its turn: a webhook gets its messages one after the other"),
    (fate("pending", due_ms=NOW_MS + HOUR_MS), "waits", f"it waits until {LATER}: the rule's rate limit is used up"),
    (
        fate("pending", paused_until_ms=NOW_MS + HOUR_MS),
        "waits",
        f"it waits until {LATER}: the provider's rate limit is used up",
    ),
    (
        fate("pending", common="the daily digest", due_ms=NOW_MS + HOUR_MS),
        "waits",
        f"it is told at {LATER} (the daily digest)",
    ),
    (fate("pending", common="the daily digest"), "waits", "it is told as soon as it can be (the daily digest)"),
    (
        fate("pending", disabled="10 failures in a row", common="x"),
        "waits",
        "it waits, since the webhook was switched off: 10 failures in a row",
    ),
    (fate("pending", reason="replayed"), "waits", "it was replayed, and is sent as soon as it can be"),
    (
        fate("retrying", attempts=2, due_ms=NOW_MS + HOUR_MS, reason="HTTP 500"),
        "waits",
        f"attempt 2 failed, and it is tried again at {LATER}: HTTP 500",
    ),
    (
        fate("retrying", attempts=1, due_ms=NOW_MS + HOUR_MS, reason="waits to bring the run's message up to date"),
        "told",
        f"told; it waits to bring the run's message up to date at {LATER}",
    ),
    (fate("dead", attempts=10, reason="HTTP 500"), "not_told", "dead after 10 attempts: HTTP 500"),
    (fate("dead", attempts=1, error="HTTP 410"), "not_told", "dead after 1 attempt: HTTP 410"),
    (fate("expired", reason="too old"), "not_told", "expired: too old"),
    (fate("cancelled", reason="cancelled by ana"), "not_told", "cancelled by ana"),
    (fate("cancelled"), "not_told", "cancelled"),
    (fate("suppressed", reason="the webhook is switched off"), "not_told", "the webhook is switched off"),
    (
        fate("suppressed", reason="told in dlv_0 (a=b)", head=head("delivered")),
        "told",
        f"told at {NOW} together with others (a=b)",
    ),
    (
        fate("suppressed", reason="told in dlv_0 (a=b)", head=head("pending")),
        "waits",
        f"it is told at {LATER} together with others (a=b)",
    ),
    (
        fate("suppressed", reason="told in dlv_0 (a=b)", head=head("dead", "HTTP 500")),
        "not_told",
        "the message that tells of it, too (dlv_0), did not get through: HTTP 500",
    ),
    (
        fate("suppressed", reason="told in dlv_0 (a=b)", head=head("cancelled")),
        "not_told",
        "the message that tells of it, too (dlv_0), did not get through: cancelled",
    ),
]


@pytest.mark.parametrize(("given", "ending", "words"), FATES)
def test_a_fate_in_words(given: Fate, ending: str, words: str) -> None:
    assert fate_of(given, NOW_MS) == (ending, words)


def test_every_state_has_words() -> None:
    assert {given.status for given, *_ in FATES} == set(STATUSES)


@pytest.mark.parametrize(
    ("all_names", "said"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "a"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        ([""], "(no name)"),
        (["a\nb"], "a b"),
    ],
)
def test_names(all_names: list[str], said: str) -> None:
    assert names(all_names) == said


def summary(decisions: list[Decision], *fates: Fate, **more: Any) -> str:
    return explain(EVENT, decisions, 0, fates, NOW_MS, **more).summary


def test_the_sentence_names_the_rule_and_its_reason() -> None:
    matched = Decision("rul_1", "row", "matched", "3 failures in a row", ("whk_1",))
    told = fate("delivered", delivered_ms=NOW_MS)
    assert summary([matched], told) == f"orders was told at {NOW}, by rule row: 3 failures in a row."


def test_a_delivery_without_its_decision_is_told_of() -> None:
    """A trace keeps the first hundred decisions."""
    assert summary([], fate("delivered", delivered_ms=NOW_MS)) == f"orders was told at {NOW}."
    assert summary([], fate("suppressed", reason="because")) == "Nobody was told: because."


def test_nobody_was_told_for_several_reasons() -> None:
    decision = Decision("rul_1", "row", "matched", "", ("whk_1", "whk_2"))
    silenced, off = fate("suppressed", reason="silenced"), fate("suppressed", reason="off")
    assert summary([decision], silenced, silenced) == "Nobody was told: rule row: silenced."
    assert summary([decision], silenced, off) == "Nobody was told: rule row: silenced (and 1 more reason)."


def test_what_was_suppressed_counts_for_more_than_what_did_not_match() -> None:
    decisions = [
        Decision("rul_0", "first", "not_matched", "the condition is false"),
        Decision("rul_1", "second", "suppressed", "1 of 3 failures in a row"),
    ]
    assert summary(decisions) == "Nobody was told: rule second: 1 of 3 failures in a row."


def test_rules_that_were_only_counted() -> None:
    assert summary([], rules=7) == "Nobody was told: none of the 7 rules asks for this event."


def test_there_is_no_end_of_rules_and_the_answer_has_one() -> None:
    others = [compile_rule(Rule(id=f"rul_{n}", tenant_id="t", name=str(n), pipelines=("x",))) for n in range(300)]
    found = explain(EVENT, [], 5, [], NOW_MS, others=others)
    assert len(found.decisions) == MOST_OTHERS
    assert found.omitted_decisions == 105
    assert "none of the 305 rules" in found.summary


RUN = Run(id="run_1", tenant_id="t", pipeline="etl", run_id="r1", status="failed", started_ms=0, finished_ms=60_000)


def chapter(*fates: Fate, verdict: str = "", reason: str = "", kind: str = "run.failed") -> Chapter:
    decisions = [Decision("rul_1", "row", verdict, reason)] if verdict else []
    event = replace(EVENT, kind=kind, type=kind)
    return Chapter(event, fates, explain(event, decisions, 0, fates, NOW_MS, rules=1))


def test_a_runs_story_counts_who_was_told_of_what() -> None:
    told = fate("delivered", delivered_ms=NOW_MS)
    other = replace(told, event_uid="evt_2", endpoint="mail", endpoint_id="whk_2")
    assert story(RUN, [chapter(told)], NOW_MS) == (
        "orders was told of etl r1, which failed after 1m 00s: 1 message about 1 of its 1 events."
    )
    assert story(RUN, [chapter(told), chapter(other), chapter()], NOW_MS) == (
        "orders and mail were told of etl r1, which failed after 1m 00s: 2 messages about 2 of its 3 events."
    )


def test_a_runs_story_says_why_nobody_was_told() -> None:
    silent = chapter(fate("suppressed", reason="silenced"), verdict="matched")
    assert story(replace(RUN, error="disk full\nat line 1"), [silent, chapter(kind="stage.failed")], NOW_MS) == (
        "Nobody was told of etl r1, which failed after 1m 00s (disk full at line 1): rule row: silenced."
    )
    quiet = chapter(verdict="suppressed", reason="1 of 3 failures in a row")
    assert story(RUN, [quiet, chapter(kind="run.progress")], NOW_MS).endswith("rule row: 1 of 3 failures in a row.")
    assert story(RUN, [chapter()], NOW_MS).endswith(": none of the 1 rules asks for this event.")
    waits = chapter(fate("pending", common="the daily digest", due_ms=NOW_MS + HOUR_MS))
    assert story(RUN, [waits], NOW_MS) == (
        f"Nobody has been told yet of etl r1, which failed after 1m 00s; orders: it is told at {LATER} "
        "(the daily digest)."
    )
    assert story(RUN, [], NOW_MS).endswith(": its events are no longer kept.")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "succeeded"}, "succeeded after 1m 00s"),
        ({"status": "warning"}, "ended with a warning after 1m 00s"),
        ({"status": "cancelled", "started_ms": None}, "was cancelled"),
        ({"status": "running", "started_ms": NOW_MS, "finished_ms": None}, f"is running since {NOW}"),
        ({"status": "running", "started_ms": None, "finished_ms": None}, "is running"),
        ({"status": "paused", "started_ms": NOW_MS, "finished_ms": None}, f"is paused, started since {NOW}"),
        ({"status": "unknown", "finished_ms": None}, "has not started"),
    ],
)
def test_how_a_run_goes(fields: dict[str, Any], said: str) -> None:
    found = story(replace(RUN, **fields), [chapter()], NOW_MS)
    assert found.startswith(f"Nobody was told of etl r1, which {said}: ")
