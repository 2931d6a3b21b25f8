"""What providers share: words, waits and signatures."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.examples import SIGNING, reply
from tocsin.model.errors import Invalid
from tocsin.model.wire import Rejected, Retry
from tocsin.provider_kit.block_kit import escape
from tocsin.provider_kit.classify import by_status, retry_after_s
from tocsin.provider_kit.signing import hex_signature, key, sign, verify, verify_hex
from tocsin.provider_kit.text import cut, cut_escaped, duration, line, lines, masked, tail

SHARED = Path(__file__).parents[2].parent / "shared"
VECTORS = json.loads((SHARED / "data" / "standard-webhooks" / "vectors.json").read_text())["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_standard_webhooks_vectors(vector: dict[str, object]) -> None:  # S4-08
    headers = vector["headers"]
    assert isinstance(headers, dict)
    body, now, tolerance = str(vector["body"]).encode(), float(str(vector["now"])), float(str(vector["tolerance_s"]))
    assert verify([str(vector["secret"])], headers, body, now, tolerance) is vector["valid"]
    if vector["valid"]:
        mine = sign([str(vector["secret"])], headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert mine in headers["webhook-signature"].split(" ")


def test_rotation_signs_with_every_secret_newest_first() -> None:  # S4-08
    old = "whsec_" + "A" * 32
    both = sign([SIGNING, old], "dlv_1", 5, b"{}")
    assert both == f"{sign([SIGNING], 'dlv_1', 5, b'{}')} {sign([old], 'dlv_1', 5, b'{}')}"
    headers = {"webhook-id": "dlv_1", "webhook-timestamp": "5", "webhook-signature": both}
    assert verify([old], headers, b"{}", 5)
    assert not verify(["whsec_" + "B" * 32], headers, b"{}", 5)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_short",
        "whsec_" + "A" * 31,
        "whsec_" + "A" * 88,
        "whsec_" + "é" * 32,
        "hunter2 hunter2!" * 3,
    ],
)
def test_a_secret_of_the_wrong_shape_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(Invalid) as refused:
        key(secret)
    assert refused.value.field == "secret"
    assert not secret or secret.removeprefix("whsec_") == "" or secret not in refused.value.detail


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_may_have_24_to_64_bytes_with_or_without_prefix(size: int) -> None:
    raw = bytes(range(size))
    encoded = base64.b64encode(raw).decode()
    assert key("whsec_" + encoded) == key(encoded) == key(encoded.rstrip("=")) == raw


def test_hex_signatures_verify() -> None:  # S4-08
    value = hex_signature(SIGNING, b"{}")
    assert verify_hex(SIGNING, value, b"{}")
    assert not verify_hex(SIGNING, value, b"{} ")
    assert not verify_hex(SIGNING, value.upper(), b"{}")
    assert not verify_hex(SIGNING, "é", b"{}")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        ("0", 1.0),
        ("0.25", 1.0),
        ("2.5", 2.5),
        (" 7 ", 7.0),
        ("999999999999", 86_400.0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
        ("1" * 400, None),
        ("Sat, 21 Nov 2026 02:01:40 GMT", 100.0),
        ("Sat, 21 Nov 2026 01:00:00 GMT", 1.0),
        ("Sun, 21 Nov 2027 02:00:00 GMT", 86_400.0),
        ("Sat, 99 Nov 2026 02:01:40 GMT", None),
        ("Sat, 21 Nov 99999999999 02:01:40 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:  # S1-03
    assert retry_after_s({"retry-after": value, "date": "Sat, 21 Nov 2026 02:00:00 GMT"}) == seconds


def test_a_date_needs_a_clock() -> None:
    date = {"retry-after": "Sat, 21 Nov 2026 02:01:40 GMT"}
    assert retry_after_s(date) is None
    assert retry_after_s(date, now_s=1_795_226_400.0) == 100.0
    assert retry_after_s({**date, "date": "junk"}, now_s=1_795_226_400.0) == 100.0


def test_scopes_of_refusals() -> None:
    assert by_status(reply(401, "no")) == Rejected("HTTP 401: no", "credential")
    assert by_status(reply(422, "no\n\x1b[31m")) == Rejected("HTTP 422: no [31m", "message")
    assert by_status(reply(422, "no"), retry_refusals=True) == Retry("HTTP 422: no")
    assert by_status(reply(301)) == Retry("HTTP 301: a redirect is not followed")
    assert len(by_status(reply(500, "x" * 5000)).reason) < 250  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 ms"),
        (-5, "0 ms"),
        (850, "850 ms"),
        (4200, "4.2 s"),
        (5000, "5 s"),
        (9960, "10 s"),
        (59_400, "59 s"),
        (59_600, "1m 00s"),
        (751_000, "12m 31s"),
        (3_840_000, "1h 04m"),
        (86_400_000, "1d 00h"),
        (1_209_600_000, "14d 00h"),
    ],
)
def test_durations(ms: int, words: str) -> None:
    assert duration(ms) == words


@given(st.text(alphabet=st.sampled_from("ab\u0301👨\u200d👩🏽🇩🇪\ufe0f&<@\n ")), st.integers(0, 60))
def test_a_cut_fits_and_splits_nothing(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert len(kept) <= limit
    if len(text) > limit > 1:
        assert kept.endswith("…")
        head, rest = kept[:-1], text[len(kept) - 1 :]
        assert text.startswith(head)
        assert rest[0] not in "\u200d\ufe0f🏽\u0301" or not head
        assert not head.endswith("\u200d") or rest[0] < "\u0300"  # a joiner joins nothing to an ASCII character
    assert len(tail(text, max(limit, 1))) <= max(limit, 1)
    escaped = cut_escaped(text, limit, escape)
    assert len(escaped) <= limit
    assert escape(text) == escaped or escaped == "" or escaped.endswith("…")


def test_a_pile_of_marks_is_cut_all_the_same() -> None:
    assert len(cut("a" + "\u0301" * 5000, 100)) == 100
    assert cut("abc", 0) == ""


def test_the_tail_keeps_the_end() -> None:
    assert tail("one\ntwo\nthree", 6) == "…three"
    assert tail("x👨‍👩‍👧", 3) == "…"


@given(st.text())
def test_lines_are_clean(text: str) -> None:
    one = line(text)
    assert "\n" not in one
    assert one.isprintable() or not any(ord(char) < 32 or char in "\u202e\u2066" for char in one)
    assert line(one) == one
    lines(text).encode("utf-8")


def test_what_joins_stays_and_what_steers_goes() -> None:
    assert line("a\u202eb\x1b[2Jc\r\nd\u2028e👨\u200d👩") == "ab[2Jc d e👨\u200d👩"
    assert lines("a\r\nb\rc\u2029d\te") == "a\nb\nc\nd\te"


def test_masks() -> None:  # S1-14
    assert masked("https://hooks.example/abcdefghijklmnop") == "…ghijklmnop"
    assert masked("short") == "…t"
    assert masked("") == "…"
