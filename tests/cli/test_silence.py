"""`tocsin silence`: what it asks for, and what it shows."""

import pytest

from tests.cli.conftest import Invoke, Stub

SILENCE = {
    "id": "sil_1",
    "matchers": [
        {"field": "pipeline", "value": "etl/*", "negate": False},
        {"field": "labels.env", "value": "x", "negate": True},
    ],
    "starts_at": "2026-11-21T12:00:00.000Z",
    "ends_at": "2026-11-21T14:00:00.000Z",
    "hours": [],
    "reason": "new cluster",
    "comment": "",
    "status": "active",
    "hidden": 3,
    "created_by": "ana",
    "created_at": "2026-11-21T12:00:00.000Z",
}


def test_a_silence_for_a_while(invoke: Invoke, stub: Stub) -> None:
    stub.answer = SILENCE
    done = invoke("silence", "--pipeline", "etl/*", "--for", "2h", "--reason", "new cluster", TOCSIN_URL=stub.url)
    assert done.code == 0
    matchers = [{"field": "pipeline", "value": "etl/*"}]
    body = {"matchers": matchers, "reason": "new cluster", "duration_s": 7200}
    assert stub.asked == [("POST", "/v1/silences", body)]
    names, values = (line.split("\t") for line in done.out.splitlines())
    shown = dict(zip(names, values, strict=True))
    assert (shown["id"], shown["matches"], shown["hidden"]) == ("sil_1", "pipeline=etl/* labels.env!=x", "3")


def test_everything_that_can_be_said(invoke: Invoke, stub: Stub) -> None:
    stub.answer = SILENCE
    words = ["-p", "a", "--rule", "b", "--webhook", "c", "-m", "severity=warning", "-m", "labels.env!=prod=1"]
    words += [
        "--until",
        "2026-11-21T14:00:00Z",
        "--hours",
        "22:00-06:00",
        "--hours",
        "12:00-13:00",
        "--zone",
        "Asia/Tokyo",
    ]
    invoke("silence", *words, TOCSIN_URL=stub.url)
    ((_, _, body),) = stub.asked
    assert body["matchers"] == [
        {"field": "pipeline", "value": "a"},
        {"field": "rule", "value": "b"},
        {"field": "endpoint", "value": "c"},
        {"field": "severity", "value": "warning", "negate": False},
        {"field": "labels.env", "value": "prod=1", "negate": True},
    ]
    assert body["ends_at"] == "2026-11-21T14:00:00Z"
    assert body["hours"] == [
        {"start": "22:00", "end": "06:00", "time_zone": "Asia/Tokyo"},
        {"start": "12:00", "end": "13:00", "time_zone": "Asia/Tokyo"},
    ]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1d", 86_400), ("2w", 1_209_600)]
)
def test_how_long(invoke: Invoke, stub: Stub, text: str, seconds: int) -> None:
    stub.answer = SILENCE
    invoke("silence", "-p", "a", "--for", text, TOCSIN_URL=stub.url)
    assert stub.asked[0][2]["duration_s"] == seconds


def test_a_dry_run_changes_nothing(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"since": "2026-11-20T12:00:00.000Z", "messages": 40, "hidden": 12, "webhooks": {}, "items": []}
    done = invoke("silence", "-p", "etl/*", "--for", "2h", "--dry-run", TOCSIN_URL=stub.url)
    assert stub.asked == [("POST", "/v1/silences/preview", {"matchers": [{"field": "pipeline", "value": "etl/*"}]})]
    assert done.out.splitlines()[1].endswith("\t40\t12")


def test_list_and_end(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"items": [SILENCE], "next": None}
    assert invoke("silence", "list", "-o", "json", TOCSIN_URL=stub.url).json == [SILENCE]
    invoke("silence", "list", "--all", TOCSIN_URL=stub.url)
    stub.answer = b""
    done = invoke("silence", "end", "sil/1", TOCSIN_URL=stub.url)
    assert (done.code, done.out) == (0, "")
    assert [(method, path) for method, path, _ in stub.asked] == [
        ("GET", "/v1/silences?limit=20&status=open"),
        ("GET", "/v1/silences?limit=20"),
        ("DELETE", "/v1/silences/sil%2F1"),
    ]


def test_help_of_silence_shows_how_it_is_used(invoke: Invoke) -> None:
    done = invoke("silence", "--help")
    assert "tocsin silence --pipeline 'etl/*' --for 2h --reason 'new cluster'" in done.out
    assert "list" in done.out
