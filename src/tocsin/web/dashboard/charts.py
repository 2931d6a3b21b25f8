"""Numbers to shapes, for templates that draw SVG: pure functions. Every chart says in words what it shows."""

from collections.abc import Sequence

from msgspec import Struct

TONES = ("ok", "warn", "bad", "mute")


class Rect(Struct, frozen=True):
    x: float
    y: float
    width: float
    height: float
    tone: str
    said: str


class Bars(Struct, frozen=True):
    """Stacked bars; `labels` stand below at equal distances, times among them (wording.tick); `said` is all of it
    in a sentence."""

    width: int
    height: int
    rects: tuple[Rect, ...]
    labels: tuple[str, ...]
    said: str


class Cell(Struct, frozen=True):
    tone: str
    said: str
    href: str = ""


def stacked(
    bins: Sequence[tuple[str, Sequence[tuple[str, int]]]],
    labels: Sequence[str],
    said: str,
    width: int = 1000,
    height: int = 76,
) -> Bars:
    """A bar for each of `bins`: what it is called, and its parts from below as (tone, count)."""
    most = max((sum(count for _, count in parts) for _, parts in bins), default=0) or 1
    step = width / max(len(bins), 1)
    rects = []
    for place, (name, parts) in enumerate(bins):
        top = float(height)
        words = f"{name}: " + (", ".join(f"{count:,} {tone_word(tone)}" for tone, count in parts if count) or "nothing")
        for tone, count in parts:
            if not count:
                continue
            tall = max(2.0, count / most * (height - 2))
            top = max(0.0, top - tall)
            rects.append(
                Rect(round(place * step + 1, 1), round(top, 1), round(step - 2, 1), round(tall, 1), tone, words)
            )
    return Bars(width, height, tuple(rects), tuple(labels), said)


def tone_word(tone: str) -> str:
    return {"ok": "delivered", "warn": "on their way", "bad": "failed", "mute": "held back"}.get(tone, tone)


def line(values: Sequence[float], width: int = 64, height: int = 18) -> str:
    """The points of a polyline; "" for less than two values."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    room = (high - low) or 1
    step = width / (len(values) - 1)
    return " ".join(
        f"{place * step:.1f},{height - 2 - (value - low) / room * (height - 4):.1f}"
        for place, value in enumerate(values)
    )
