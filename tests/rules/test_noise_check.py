"""What a rule says about noise and time: what makes no sense is refused with the name of the field."""

from typing import Any

import msgspec
import pytest

from tocsin.model.errors import Invalid
from tocsin.model.noise import Hours, Noise
from tocsin.rules.noise_check import check_hours, check_noise, check_zone

ONE = ("etl/orders",)


def noise(**fields: Any) -> Noise:
    """As it comes in, so that the values fit their types."""
    return msgspec.convert(fields, Noise, strict=False)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("window.count", {"window": {"kind": "failures", "count": 501}}),
        ("window.runs", {"window": {"kind": "success_rate", "below": 0.9}}),
        ("window.runs", {"window": {"kind": "success_rate", "below": 0.9, "least": 5}}),
        ("window.runs", {"window": {"kind": "success_rate", "below": 0.9, "runs": 501}}),
        ("window.least", {"window": {"kind": "success_rate", "below": 0.9, "runs": 5, "least": 6}}),
        ("window.least", {"window": {"kind": "success_rate", "below": 0.9, "within_s": 5, "least": 501}}),
        ("window.below", {"window": {"kind": "success_rate", "below": 0, "runs": 5}}),
        ("window.recover", {"window": {"kind": "success_rate", "below": 0.9, "runs": 5, "recover": 0.89}}),
        ("window.above", {"window": {"kind": "metric", "name": "accuracy"}}),
        ("window.above", {"window": {"kind": "metric", "name": "accuracy", "better": "lower"}}),
        ("window.above", {"window": {"kind": "metric", "name": "accuracy", "above": float("inf")}}),
        ("window.below", {"window": {"kind": "metric", "name": "accuracy", "below": float("nan")}}),
        ("window.below", {"window": {"kind": "metric", "name": "accuracy", "above": 1, "below": 1}}),
        ("changes.renotify_s", {"changes": {"renotify_s": 59}}),
        ("group.by[1]", {"group": {"by": ["pipeline", "colour"]}}),
        ("group.by[0]", {"group": {"by": ["labels."]}}),
        ("group.by[0]", {"group": {"by": ["labels"]}}),
        ("group.by[0]", {"group": {"by": [""]}}),
        ("watch", {"watch": {}}),
        ("watch", {"watch": {"factor": 2, "least": 10}}),
        ("watch.least", {"watch": {"exceeded_p95_of": 10, "least": 11}}),
        ("watch.shorter_s", {"watch": {"exceeded_s": 10, "shorter_s": 11}}),
        ("schedule.cron", {"schedule": {}}),
        ("schedule.cron", {"schedule": {"cron": "@daily", "every_s": 60}}),
        ("schedule.cron", {"schedule": {"cron": "every day"}}),
        ("schedule.cron", {"schedule": {"cron": ""}}),
        ("schedule.time_zone", {"schedule": {"cron": "@daily", "time_zone": "Europe/Atlantis"}}),
        ("schedule.every_s", {"schedule": {"every_s": 9}}),
        ("schedule.finish_within_s", {"schedule": {"cron": "@daily", "start_within_s": 60, "finish_within_s": 59}}),
        ("mute[0].end", {"mute": [{"start": "09:00", "end": "09:00"}]}),
        (
            "mute[1].time_zone",
            {
                "mute": [{"start": "09:00", "end": "10:00"}]
                + [{"start": "09:00", "end": "10:00", "time_zone": "nowhere"}]
            },
        ),
    ],
)
def test_what_makes_no_sense_is_refused(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        check_noise(noise(**fields), ONE)
    assert caught.value.field == field
    assert caught.value.found
    assert caught.value.expected


@pytest.mark.parametrize("pipelines", [(), ("etl/*",), ("etl/order?",), ("a", "b")])
def test_a_schedule_is_for_one_pipeline_by_its_name(pipelines: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        check_noise(noise(schedule={"cron": "@daily"}), pipelines)
    assert caught.value.field == "pipelines"
    check_noise(noise(changes={}), pipelines)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"window": {"kind": "failures", "count": 1}},
        {"window": {"kind": "failures", "count": 500, "within_s": 60}},
        {"window": {"kind": "success_rate", "below": 0.9, "runs": 500, "least": 500, "recover": 0.9}},
        {"window": {"kind": "success_rate", "below": 1, "within_s": 3600, "recover": 1}},
        {"window": {"kind": "metric", "name": "accuracy", "below": 0}},
        {"window": {"kind": "metric", "name": "accuracy", "above": 0.9, "below": 0.1, "drop": 0.02}},
        {"changes": {}},
        {"changes": {"renotify_s": 60, "flapping": None}},
        {"group": {"by": []}},
        {"group": {"by": ["pipeline", "run_id", "stage", "type", "kind", "severity", "source", "labels.env"]}},
        {"flood": {"count": 1}},
        {"watch": {"exceeded_s": 10, "shorter_s": 10}},
        {"watch": {"exceeded_p95_of": 5}},
        {"watch": {"stalled_s": 60, "least": 200}},
        {"schedule": {"cron": "30 2 * * MON-FRI", "time_zone": "Europe/Berlin", "finish_within_s": 600}},
        {"schedule": {"every_s": 10}},
        {"mute": [{"start": "22:00", "end": "06:00", "weekdays": [5, 6], "time_zone": "Asia/Kolkata"}]},
    ],
)
def test_what_makes_sense_is_taken(fields: dict[str, Any]) -> None:
    check_noise(noise(**fields), ONE)


@pytest.mark.parametrize(
    "name", ["Europe/Atlantis", "America", "../../etc/passwd", "/etc/localtime", "x\x00y", "UTC+1", " "]
)
def test_a_time_zone_that_nobody_knows(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_zone("digest.time_zone", name)
    assert caught.value.field == "digest.time_zone"


def test_quiet_hours_are_checked_by_themselves() -> None:
    check_hours("quiet[0]", Hours("22:00", "06:00"))
    with pytest.raises(Invalid) as caught:
        check_hours("quiet[0]", Hours("22:00", "22:00"))
    assert caught.value.field == "quiet[0].end"
