"""Which headers a request may carry."""

import pytest

from tocsin.model.errors import Invalid
from tocsin.outbound.address_guard import check_header, check_sent


# S14
@pytest.mark.parametrize(
    "name",
    ["Host", "HOST", "content-length", "Transfer-Encoding", "Connection", "TE", "Trailer", "Upgrade", "Expect",
     "Keep-Alive", "Proxy-Authorization", "proxy-connection", "Proxy-", "Webhook-Id", "webhook-signature", "Cookie",
     "Content-Encoding", "Accept-Encoding", "", " ", "X Y", "X:", "X\r\nY", "X\n", "X\0", "Ｈost", "Héader", "X\x85",
     "Host ", " Host", "Host:", "x" * 257],
)  # fmt: skip
def test_a_header_that_changes_the_request_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_header(name, "tell-nobody")
    assert caught.value.field.startswith("headers")
    assert "tell-nobody" not in caught.value.detail


@pytest.mark.parametrize(
    "value",
    [
        "zq\r\nX: y",
        "zq\n",
        "\rzq",
        "z\0q",
        "z\vq",
        "z\x85q",
        "z\u2028q",
        " zq",
        "zq ",
        "z\tq",
        "zq\x7f",
        "zqé",
        "zq" * 4097,
    ],
)
def test_a_header_value_that_may_break_out_is_refused(value: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_header("X-Token", value)
    assert caught.value.field == "headers.X-Token"
    assert "z" not in caught.value.detail


@pytest.mark.parametrize("value", ["", "a", "Bearer abc.def==", "a  b", "x" * 8192, '{"a": "b"}', "~!@#$%^&*()"])
def test_an_ordinary_header_passes(value: str) -> None:
    check_header("Authorization", value)
    check_header("X-My_Header.1", value)


def test_our_own_signature_passes_once() -> None:
    check_sent([("webhook-id", "1"), ("webhook-signature", "v1,x"), ("X-A", "1"), ("X-A", "2")])
    with pytest.raises(Invalid, match="twice"):
        check_sent([("webhook-signature", "v1,x"), ("Webhook-Signature", "v1,y")])
    with pytest.raises(Invalid):
        check_sent([("X-A", "1"), ("Host", "evil")])
