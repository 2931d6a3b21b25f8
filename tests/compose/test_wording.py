"""What people read: one line per event in golden/wording.txt, and what must hold of every message."""

import unicodedata
from pathlib import Path

import pytest

from tests.compose.samples import AT_MS, ENDED, HOSTILE, LINKS, PLACE, SAMPLES, event, run
from tocsin.compose.facts import humane, short_id, spelled_ms
from tocsin.compose.message import compose
from tocsin.compose.wording import KINDS as WORDED
from tocsin.model.delivery import Words
from tocsin.model.event import KINDS, SEVERITIES, Action
from tocsin.model.run import Stage
from tocsin.provider_kit.text import cut

TABLE = Path(__file__).parent / "golden" / "wording.txt"


def test_the_table_of_words(request: pytest.FixtureRequest) -> None:
    rows = []
    for name, (told, its_run) in SAMPLES.items():
        message = compose(told, its_run)
        rows.append(f"{name:22}| {message.tone:8} | {message.title} | {message.sentence}\n")
    if request.config.getoption("--update-golden"):
        TABLE.write_text("".join(rows), encoding="utf-8")
    assert "".join(rows) == TABLE.read_text(encoding="utf-8")


def test_every_kind_has_its_own_words_and_a_sample() -> None:
    assert set(WORDED) == set(KINDS)
    assert {told.kind for told, _ in SAMPLES.values()} == set(KINDS)


def test_the_failure_sentence_says_it_all() -> None:  # S0-02
    message = compose(event("run.failed", "run.failed", **PLACE, data={"error": "CUDA out of memory"}), ENDED)
    assert message.sentence == (
        '❌ train-ranker failed in prod after 12m 31s — step "evaluate": CUDA out of memory. Run 8f3a21c.'
    )
    assert (message.pipeline, message.run_id, message.duration_ms, message.run_status) == (
        "train-ranker",
        "8f3a21c",
        751_000,
        "failed",
    )


def test_the_cause_is_the_exception_and_the_detail_its_traceback() -> None:  # S0-02
    message = compose(*SAMPLES["failed"])
    assert message.cause == "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert message.detail.startswith("Traceback")
    assert compose(*SAMPLES["failed-alone"]).detail == ""


def test_a_run_that_does_not_say_why_has_its_stages_error() -> None:
    broken = run(status="failed", stages=(Stage("load", "failed", error="no rows in orders.csv"),))
    message = compose(event("run.failed", "run.failed", **PLACE), broken)
    assert message.cause == "no rows in orders.csv"
    message = compose(event("run.failed", "run.failed", **PLACE, data={"error": "out of memory"}), broken)
    assert message.cause == "out of memory"


def test_links_to_the_run_page() -> None:  # S0-02
    home = "https://tocsin.example/"
    bare = compose(event("run.failed", "run.failed", **PLACE), run(), home=home)
    assert bare.actions == (Action("Open run", "https://tocsin.example/runs/run_1", "primary"),)
    both = compose(event("run.failed", "run.failed", **PLACE, links=LINKS), run(), home=home)
    assert [one.label for one in both.actions] == ["Open run", "Logs", "In Tocsin"]


def test_the_training_title_is_as_its_document_has_it() -> None:  # S1-12, S1-13
    message = compose(*SAMPLES["training-complete"])
    assert message.title == "Training Complete - ResNet34_Test"
    assert message.actions == (Action("View Results", "http://localhost:8050/experiments/1234", "primary"),)
    assert message.facts[:2] == (("Duration", "14m 32s"), ("Experiment Name", "ResNet34_Test"))
    assert ("Accuracy", "96.8%") in message.facts
    assert "Experiment #1234" in message.footer
    assert message.duration_ms == 872_000


def test_what_the_source_says_wins() -> None:
    told = event("run.failed", "run.failed", title="Oh no", message="It broke.\nBadly.", data={"error": "E"})
    message = compose(told, None)
    assert (message.title, message.text) == ("Oh no", "It broke.\nBadly.")
    assert message.sentence == "❌ Oh no: It broke. Badly."


def test_an_alert_is_as_loud_as_its_severity() -> None:
    tones = [compose(event("a", "alert", severity=one), None).tone for one in SEVERITIES]
    assert tones == ["neutral", "warning", "bad", "bad"]


def test_a_note_is_said() -> None:
    message = compose(*SAMPLES["failed"], words=Words(note="And 3 more like it."))
    assert message.sentence.endswith("And 3 more like it.")
    assert message.footer[0] == "And 3 more like it."


def test_a_run_that_goes_on_is_timed_to_the_event_and_one_that_ended_to_its_end() -> None:
    assert compose(event("x", "run.exceeded", **PLACE), run()).duration_ms == 751_000
    late = event("x", "run.failed", **PLACE, time_ms=AT_MS + 60_000)
    assert compose(late, ENDED).duration_ms == 751_000


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil",
        "https://",
        "https://a b",
        "https://a\n",
        "https://a.example/\u202egnp",
        "file:///etc/passwd",
        7,
    ],
)
def test_only_web_links_are_shown(url: object) -> None:
    told = event("x", "other", actions=(Action("a", str(url)),), links={"run": str(url)}, data={"dashboard_url": url})
    message = compose(told, None)
    assert message.actions == ()
    assert message.links == {}


def test_at_most_three_actions_each_once_the_first_of_ours_primary() -> None:
    same = "https://a.example/run"
    links = {"run": same, "logs": "http://a.example/l", "dashboard": same, "x": "https://a.example/x", "y": same + "y"}
    message = compose(event("x", "other", links=links), None)
    assert [(one.label, one.style) for one in message.actions] == [("Open run", "primary"), ("Logs", ""), ("X", "")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", [HOSTILE, "ä" * 50_000, "👨‍👩‍👧" * 9_000, "", "\x00", "\n\n", "v" * 300 + "\n"])
def test_any_words_stay_within_bounds(kind: str, words: str) -> None:
    data = dict.fromkeys(("error", "reason", "experiment_name", "step", "started_by", "a", "duration"), words)
    told = event(
        words or "x", kind, source=words, pipeline=words, run_id=words, stage=words, title=words, message=words,
        labels={"env": words, "owner": words}, data=data | {words: words, "n": {words: words}},
        actions=(Action(words, "https://a.example", words),), links={words: "https://b.example"},
    )  # fmt: skip
    for given in (told, event(words or "x", kind, pipeline=words, data=data)):
        message = compose(given, ENDED, words=Words(note=words))
        assert len(message.title) <= 80
        assert len(message.cause) <= 200
        assert len(message.sentence) <= 1400
        assert len(message.text) <= 4000
        assert len(message.detail) <= 3000
        assert len(message.facts) <= 6
        assert all(value and len(value) <= 120 for _, value in message.facts)
        shown = [
            message.title,
            message.cause,
            message.sentence,
            *message.footer,
            *(one.label for one in message.actions),
        ]
        shown += [part for pair in message.facts for part in pair]
        for one in shown:
            assert "\n" not in one
            assert not any(unicodedata.category(char) == "Cc" or char == "\u202e" for char in one)
        assert "\u202e" not in message.text + message.detail


@pytest.mark.parametrize(
    "value",
    [None, [], [1], {}, {"a": {"b": 1}}, True, 10**400, float("nan"), float("inf"), -1, 1e308, "", {"a": None}],
)
@pytest.mark.parametrize(
    "name",
    [
        "error",
        "duration",
        "duration_s",
        "trial",
        "experiment_name",
        "dashboard_url",
        "accuracy",
        "expected_s",
        "latency_ms",
        "best_value",
        "from",
        "experiment_id",
        "started_by",
    ],
)
def test_any_data_makes_a_message(name: str, value: object) -> None:
    for event_type in ("hpo.trial_complete", "training.failed", "run.failed"):
        message = compose(event(event_type, "run.failed", data={name: value}), run())
        assert compose(event(event_type, "run.exceeded", data={name: value, "to": value}), run()).title
        assert compose(event(event_type, "safety.rollback", data={name: value, "to": value}), None).title
        assert message.title
        assert all(shown for _, shown in message.facts)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("rows", 12400, "12,400"),
        ("accuracy", 0.968, "96.8%"),
        ("accuracy", 96.8, "96.8"),
        ("loss", 0.123456789, "0.1235"),
        ("expected_s", 1800, "30m 00s"),
        ("latency_ms", 812, "812 ms"),
        ("params", {"lr": 0.001, "depth": 6}, "lr 0.001, depth 6"),
        ("flag", True, "yes"),
        ("rows", [1, 2], ""),
    ],
)
def test_values_come_with_their_units(name: str, value: object, shown: str) -> None:
    assert humane(name, value) == shown


@pytest.mark.parametrize(
    ("words", "ms"),
    [("14m 32s", 872_000), ("1h 04m", 3_840_000), ("2d", 172_800_000), ("3.5s", 3500), ("", None), ("soon", None)],
)
def test_a_spelled_duration_is_read(words: str, ms: int | None) -> None:
    assert spelled_ms(words) == ms


def test_long_ids_are_shortened_and_names_are_not() -> None:
    assert short_id("0198c5f2-7a31-7000-8000-0123456789ab") == "0198c5f2"
    assert short_id("2026-11-21T02:00") == "2026-11-21T02:00"
    assert short_id("x" * 100) == cut("x" * 100, 40)
