"""The preview shows the mail that goes out, whichever way it goes."""

import pytest

from tests.providers.examples import EVERY_MESSAGE, MESSAGES, provider_of, sending
from tocsin.model.wire import HttpRequest, SmtpRequest
from tocsin.previews.email import html, subject_and_text

EMAIL = provider_of("email")
KEY = f"SG.{'a' * 22}.{'b' * 43}"


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_both_ways_show_the_same(name: str, plain: bool) -> None:
    by_server = EMAIL.render(sending(EMAIL, EVERY_MESSAGE[name], plain=plain))
    by_sendgrid = EMAIL.render(sending(EMAIL, EVERY_MESSAGE[name], plain=plain, sendgrid_api_key=KEY))
    assert isinstance(by_server, SmtpRequest)
    assert isinstance(by_sendgrid, HttpRequest)
    assert html(by_server).replace("\r\n", "\n") == html(by_sendgrid)
    subject, text = subject_and_text(by_server)
    assert (subject, text.replace("\r\n", "\n")) == subject_and_text(by_sendgrid)


def test_it_is_the_whole_document() -> None:
    request = EMAIL.render(sending(EMAIL, MESSAGES["run-failed"]))
    assert isinstance(request, SmtpRequest)
    shown = html(request)
    assert shown.startswith("<!DOCTYPE html>")
    assert shown.rstrip().endswith("</html>")
    assert "train-ranker failed in prod" in shown
    subject, text = subject_and_text(request)
    assert subject == "❌ train-ranker failed in prod (evaluate)"
    assert text.startswith("❌ train-ranker failed in prod\r\n")
