"""The real scheduling with the clock moved, in short; `make proof` has the whole hours."""

import pytest

from benchmarks.simulation import SCENARIOS, Report, Simulation

BY_NAME = {one.name: one for one in SCENARIOS}


def run(name: str, scale: float) -> Report:
    return Simulation(BY_NAME[name].scaled(scale)).run()


@pytest.mark.parametrize("name", ["one-of-1000", "refusing"])
def test_a_receiver_that_is_down_delays_nobody_else(name: str) -> None:
    report = run(name, 0.02)
    assert report.ratio <= 1.5
    assert report.attempts_down < 100, "it is tried seldom"
    assert report.delivered > 30_000


def test_the_same_twice_is_the_same() -> None:
    first, second = run("refusing", 0.004), run("refusing", 0.004)
    assert (first.delivered, first.during, first.peak) == (second.delivered, second.during, second.peak)


@pytest.mark.proof
@pytest.mark.parametrize("name", ["one-of-1000", "refusing", "popular"])
def test_an_hour(name: str) -> None:
    report = run(name, 1.0)
    print(name, report.ratio, report.peak, report.predicted_peak, report.drained_s, report.predicted_drain_s)
    assert report.ratio <= 1.5
    assert report.peak == pytest.approx(report.predicted_peak, rel=0.2)
    assert report.drained_s == pytest.approx(report.predicted_drain_s, rel=0.2)
    assert report.left < 1000
