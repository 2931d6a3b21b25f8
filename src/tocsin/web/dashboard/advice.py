"""What a receiver said, in words that say what to do: for verdicts, deliveries and dead letters. Pure."""

import re

from msgspec import Struct


class Advice(Struct, frozen=True):
    """`what` happened and what to `do` about it; `do` is "" where nothing is known that helps."""

    what: str
    do: str = ""


WORDS: tuple[tuple[str, str, str], ...] = (
    (r"channel_is_archived|is_archived", "says the channel is archived",
     "Un-archive it, or give this endpoint the address of another channel."),
    (r"channel_not_found|unknown channel|chat not found", "does not find the channel",
     "Look whether it was deleted or renamed, and whether the bot is a member."),
    (r"not_in_channel", "says the bot is not in the channel", "Invite it there."),
    (r"no_service|no_active_hooks|invalid_token|unknown webhook", "does not know this address any more",
     "It was deleted over there: make a new one and put it into the settings."),
    (r"token_revoked|account_inactive|token_expired|invalid_auth|not_authed|unauthori[sz]ed",
     "does not take the key any more", "Make a new one and put it into the settings."),
    (r"missing_scope", "says the app lacks a right", "Add the scope that it names, and install the app again."),
    (r"invalid_blocks|invalid_payload|msg_blocks_too_long|no_text", "refused the message for its form",
     "Others get through; look at what was sent."),
    (r"rate_limited|\b429\b", "asks to send less", "Messages wait and are sent; a rule that groups sends fewer."),
    (r"^blocked|address is not allowed|private", "may not be reached from here",
     "An address in a private network has to be named in TOCSIN_ALLOW_TARGETS."),
    (r"^(dns|name)", "has a name that leads nowhere", "Look at the host in the address."),
    (r"^(tls|certificate|ssl)", "has a certificate that is not trusted",
     "Renew it, or give the one that signed it in the settings (ca)."),
    (r"^(connect|refused|unreachable|reset)", "cannot be reached",
     "Look whether it is up, and whether a firewall is between."),
    (r"time ?d? ?out|timeout", "takes too long to answer", "It has to answer first and work afterwards."),
    (r"HTTP 30\d|redirect", "sends elsewhere, which is not followed", "Give the final address in the settings."),
    (r"HTTP 401|HTTP 403", "does not let us in", "Look at the key, and at what it may do."),
    (r"HTTP 404|HTTP 410", "says there is nothing at this address", "Make a new address and put it into the settings."),
    (r"HTTP 413", "says the message is too large", "Leave out the data in the settings."),
    (r"HTTP 5\d\d", "has trouble of its own", "Look at its status page, or at its log."),
)  # fmt: skip
FOUND = tuple((re.compile(pattern, re.IGNORECASE), what, do) for pattern, what, do in WORDS)


def advice(label: str, said: str) -> Advice:
    """`label`: who said it, such as Slack."""
    for pattern, what, do in FOUND:
        if pattern.search(said):
            return Advice(f"{label} {what}.", do)
    return Advice(said or f"{label} gave no reason.")
