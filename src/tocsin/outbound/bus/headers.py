"""Headers of messages, as an HTTP request would have them."""

from collections.abc import Mapping
from string import printable
from urllib.parse import quote

PREFIXES = ("ce_", "cloudevents:", "cloudevents_")
"""Where the bindings of CloudEvents to Kafka and AMQP say `ce-`.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md#321-content-type
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md#3131-amqp-application-property-names
"""
PLAIN = "".join(character for character in printable if character not in "%\t\n\r\x0b\x0c")


def as_headers(texts: Mapping[str, str]) -> dict[str, str]:
    """Names in small letters, values percent-encoded: these bindings send them as they are."""
    return {named(name): quote(value, safe=PLAIN, errors="replace") for name, value in texts.items()}


def named(name: str) -> str:
    small = name.lower()
    for prefix in PREFIXES:
        if small.startswith(prefix):
            return "ce-" + small.removeprefix(prefix)
    return small
