"""Discord's webhooks: what they take, what they refuse and in which words, and what a channel or a forum then shows.

https://docs.discord.com/developers/resources/webhook and, for the numbers of errors,
https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
"""

import json
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin.fakes import Answer, Asked

BUCKET = 5
BUCKET_MS = 2000
"""So many messages in so much time for each webhook, as its headers tell."""
OLD_MS = 3_600_000
OLD_EDITS = 3
"""A message that is older than an hour can be edited only a few times more."""
CONTENT = 2000
EMBEDS = 10
ALL_EMBEDS = 6000
FIELDS = 25
EMBED_TEXTS = {"title": 256, "description": 4096}
FIELD_TEXTS = {"name": 256, "value": 1024}
FOOTER = 2048
USERNAME = 80
URL = 2048
THREAD_NAME = 100
MENTIONS = 100

_PATH = re.compile(r"/api/(?:v[0-9]{1,2}/)?webhooks/([0-9]{17,20})/([A-Za-z0-9_-]{60,80})/?(?:/messages/([0-9]+))?")
_URL = re.compile(r"https?://(?:[^/\s.]+\.)+[A-Za-z]{2,}(?::[0-9]+)?(?:[/?#]\S*)?")
_MENTION = re.compile(r"<@!?([0-9]+)>|<@&([0-9]+)>|@(everyone|here)")


@dataclass
class DiscordMessage:
    """A message as the channel shows it. `woken` are those it notified: ids, "everyone", "here". `edits` are its bodies
    before each edit. `thread_id` is "" outside forum posts."""

    id: str
    channel_id: str
    thread_id: str
    body: dict[str, Any]
    at_ms: int
    username: str = ""
    silent: bool = False
    woken: list[str] = field(default_factory=list)
    edits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def content(self) -> str:
        return self.body.get("content") or ""

    @property
    def embeds(self) -> list[dict[str, Any]]:
        return self.body.get("embeds") or []


class Refused(Exception):
    """An error as Discord words it. `errors` is the tree that says which field is meant."""

    def __init__(self, status: int, code: int, message: str, errors: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.answer = answer(status, {"message": message, "code": code} | ({"errors": errors} if errors else {}))


class BadLinks(Refused):
    """An embed with a link that Discord takes for none is refused without a number:
    https://github.com/rogerrum/alertmanager-discord/issues/19"""

    def __init__(self, embeds: list[str]) -> None:
        super().__init__(400, 0, "")
        self.answer = answer(400, {"embeds": embeds})


class FakeDiscord:
    """Every webhook of the right shape works, unless its id is in `gone` or `tokens` names another token for it.

    messages: what is there, in the order in which it came. forum: whether the channel is one. threads: forum posts by
    id, and their names. locked: forum posts that take nothing more. limits: whether rates are kept. next: answers that
    are given before anything is looked at, first come first.
    """

    hosts: tuple[str, ...] = ("discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com")

    def __init__(self, *, forum: bool = False, limits: bool = False) -> None:
        self.forum = forum
        self.limits = limits
        self.messages: list[DiscordMessage] = []
        self.threads: dict[str, str] = {}
        self.locked: set[str] = set()
        self.gone: set[str] = set()
        self.tokens: dict[str, str] = {}
        self.next: deque[Answer] = deque()
        self._asked_ms: dict[str, list[int]] = defaultdict(list)
        self._ids = 1_441_000_000_000_000_000

    def answer(self, asked: Asked) -> Answer:
        """The message, or an error with Discord's number."""
        if self.next:
            return self.next.popleft()
        url = urlsplit(asked.path)
        found = _PATH.fullmatch(url.path)
        if found is None:
            return answer(404, {"message": "404: Not Found", "code": 0})
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            self._known(found[1], found[2])
            limit = self._limit(found[1], asked.at_ms)
            made = self._made(asked, query, found[1], found[3])
        except Refused as refused:
            return refused.answer
        if asked.method == "POST" and query.get("wait") != "true":
            return Answer(204, b"", limit)
        return answer(200, shown(made), limit)

    def remove(self, message_id: str) -> None:
        """What somebody with the rights for it does in the channel; a forum post goes with its first message."""
        self.messages = [one for one in self.messages if one.id != message_id and one.thread_id != message_id]
        self.threads.pop(message_id, None)

    def _known(self, webhook: str, token: str) -> None:
        if webhook in self.gone:
            raise Refused(404, 10015, "Unknown Webhook")
        if self.tokens.get(webhook, token) != token:
            raise Refused(401, 50027, "Invalid Webhook Token")

    def _limit(self, webhook: str, at_ms: int) -> dict[str, str]:
        """The headers of the webhook's bucket. Raises Refused where it is empty."""
        recent = [one for one in self._asked_ms[webhook] if at_ms - one < BUCKET_MS]
        reset_s = (BUCKET_MS - (at_ms - recent[0]) if recent else BUCKET_MS) / 1000
        headers = {"x-ratelimit-limit": str(BUCKET), "x-ratelimit-reset-after": f"{reset_s:.3f}"}
        if self.limits and len(recent) >= BUCKET:
            refused = Refused(429, 0, "You are being rate limited.")
            body = {"message": "You are being rate limited.", "retry_after": reset_s, "global": False}
            more = {"retry-after": str(-(-int(reset_s * 1000) // 1000)), "x-ratelimit-scope": "user"}
            refused.answer = answer(429, body, headers | more | {"x-ratelimit-remaining": "0"})
            raise refused
        self._asked_ms[webhook] = [*recent, at_ms]
        left = BUCKET - len(recent) - 1 if self.limits else BUCKET - 1
        return headers | {"x-ratelimit-remaining": str(left), "x-ratelimit-bucket": "fake"}

    def _made(self, asked: Asked, query: dict[str, str], webhook: str, message_id: str | None) -> DiscordMessage:
        try:
            body = json.loads(asked.body)
        except ValueError:
            raise Refused(400, 50109, "The request body contains invalid JSON.") from None
        if not isinstance(body, dict) or not asked.headers.get("content-type", "").startswith("application/json"):
            raise invalid({"_errors": [{"code": "DICT_TYPE_CONVERT", "message": "Only dictionaries may be used"}]})
        check(body)
        thread = query.get("thread_id", "")
        if thread and thread not in self.threads:
            raise Refused(404, 10003, "Unknown Channel")
        if thread in self.locked:
            raise Refused(403, 160005, "Thread is locked")
        if asked.method == "PATCH" and message_id:
            return self._edited(message_id, thread, body, asked.at_ms)
        if asked.method == "POST" and not message_id:
            return self._posted(webhook, thread, body, asked.at_ms)
        raise Refused(405, 0, "405: Method Not Allowed")

    def _posted(self, webhook: str, thread: str, body: dict[str, Any], at_ms: int) -> DiscordMessage:
        if not (body.get("content") or "").strip() and not body.get("embeds"):
            raise Refused(400, 50006, "Cannot send an empty message")
        name = body.get("thread_name") or ""
        if name and thread:
            raise Refused(400, 220002, "Webhooks posted to forum channels cannot have both a thread_name and thread_id")
        if name and not self.forum:
            raise Refused(400, 220003, "Webhooks can only create threads in forum channels")
        if self.forum and not name and not thread:
            raise Refused(400, 220001, "Webhooks posted to forum channels must have a thread_name or thread_id")
        self._ids += 1
        new_id = str(self._ids)
        if name:
            thread = new_id  # a forum post and its first message have one id
            self.threads[thread] = name
        made = DiscordMessage(
            id=new_id,
            channel_id=thread or f"9{webhook[1:]}",
            thread_id=thread,
            body=body,
            at_ms=at_ms,
            username=body.get("username") or "",
            silent=bool((body.get("flags") or 0) & 1 << 12),
            woken=woken(body),
        )
        self.messages.append(made)
        return made

    def _edited(self, message_id: str, thread: str, body: dict[str, Any], at_ms: int) -> DiscordMessage:
        found = next((one for one in self.messages if (one.id, one.thread_id) == (message_id, thread)), None)
        if found is None:
            raise Refused(404, 10008, "Unknown Message")
        if at_ms - found.at_ms > OLD_MS and len(found.edits) >= OLD_EDITS:
            words = "Maximum number of edits to messages older than 1 hour reached. Try again later."
            raise Refused(429, 30046, words)
        new = found.body | {name: value for name, value in body.items() if name in ("content", "embeds")}
        if not new.get("content") and not new.get("embeds"):
            raise Refused(400, 50006, "Cannot send an empty message")
        found.edits.append(found.body)
        found.body = new
        return found


def woken(body: dict[str, Any]) -> list[str]:
    """Whom the content notifies: those that it names and `allowed_mentions` allows. Embeds notify nobody."""
    allowed = body.get("allowed_mentions") or {"parse": ["users"]}
    found = []
    for user, role, every in _MENTION.findall(body.get("content") or ""):
        kind, listed = ("users", user) if user else ("roles", role) if role else ("everyone", "")
        if kind in allowed.get("parse", ()) or listed in allowed.get(kind, ()):
            found.append(user or role or every)
    return list(dict.fromkeys(found))


def check(body: dict[str, Any]) -> None:
    """Raises Refused with a tree of what is wrong, as Discord does: by field and by index."""
    wrong: dict[str, Any] = {}
    too_long(wrong, body, "content", CONTENT)
    too_long(wrong, body, "username", USERNAME)
    too_long(wrong, body, "thread_name", THREAD_NAME)
    for name in ("clyde", "discord"):
        if name in (body.get("username") or "").lower():
            wrong["username"] = errors("USERNAME_INVALID_CONTAINS", f'Username cannot contain "{name}"')
    avatar = body.get("avatar_url") or ""
    if avatar and not is_url(avatar):
        wrong["avatar_url"] = errors("URL_TYPE_INVALID_URL", "Not a well formed URL.")
    embeds = body.get("embeds") or []
    bad_links = [str(index) for index, one in enumerate(embeds) if one.get("url") and not is_url(one["url"])]
    if bad_links:
        raise BadLinks(bad_links)
    if len(embeds) > EMBEDS:
        wrong["embeds"] = errors("BASE_TYPE_MAX_LENGTH", f"Must be {EMBEDS} or fewer in length.")
    else:
        found = {str(index): one for index, embed in enumerate(embeds) if (one := embed_errors(embed))}
        if found:
            wrong["embeds"] = found
        elif sum(map(embed_chars, embeds)) > ALL_EMBEDS:
            words = f"Embed size exceeds maximum size of {ALL_EMBEDS}"
            wrong["embeds"] = errors("MAX_EMBED_SIZE_EXCEEDED", words)
    allowed = body.get("allowed_mentions") or {}
    for kind in ("users", "roles"):
        if len(allowed.get(kind, ())) > MENTIONS:
            wrong["allowed_mentions"] = errors("BASE_TYPE_MAX_LENGTH", f"Must be {MENTIONS} or fewer in length.")
        elif allowed.get(kind) and kind in allowed.get("parse", ()):
            words = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            wrong["allowed_mentions"] = errors("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", words)
    if wrong:
        raise invalid(wrong)


def embed_errors(embed: dict[str, Any]) -> dict[str, Any]:
    wrong: dict[str, Any] = {}
    for name, limit in EMBED_TEXTS.items():
        too_long(wrong, embed, name, limit)
    if not 0 <= embed.get("color", 0) <= 0xFFFFFF:
        wrong["color"] = errors("NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")
    footer: dict[str, Any] = {}
    too_long(footer, embed.get("footer") or {}, "text", FOOTER)
    if footer:
        wrong["footer"] = footer
    fields = embed.get("fields") or []
    if len(fields) > FIELDS:
        wrong["fields"] = errors("BASE_TYPE_MAX_LENGTH", f"Must be {FIELDS} or fewer in length.")
        return wrong
    found: dict[str, Any] = {}
    for index, one in enumerate(fields):
        bad: dict[str, Any] = {}
        for name, limit in FIELD_TEXTS.items():
            if not str(one.get(name, "")).strip():
                bad[name] = errors("BASE_TYPE_REQUIRED", "This field is required")
            too_long(bad, one, name, limit)
        if bad:
            found[str(index)] = bad
    return wrong | ({"fields": found} if found else {})


def embed_chars(embed: dict[str, Any]) -> int:
    """What counts towards ALL_EMBEDS."""
    texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    texts += [one.get(name) for one in embed.get("fields") or [] for name in FIELD_TEXTS]
    return sum(len(text) for text in texts if text)


def too_long(wrong: dict[str, Any], given: dict[str, Any], name: str, limit: int) -> None:
    if len(given.get(name) or "") > limit:
        wrong[name] = errors("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def is_url(url: str) -> bool:
    """Discord's idea of one: a host without a dot is none."""
    return len(url) <= URL and _URL.fullmatch(url) is not None


def errors(code: str, message: str) -> dict[str, Any]:
    return {"_errors": [{"code": code, "message": message}]}


def invalid(tree: dict[str, Any]) -> Refused:
    return Refused(400, 50035, "Invalid Form Body", tree)


def shown(message: DiscordMessage) -> dict[str, Any]:
    """A message object, without what nobody here reads."""
    return {
        "type": 0,
        "content": message.content,
        "embeds": message.embeds,
        "mentions": [],
        "id": message.id,
        "channel_id": message.channel_id,
        "flags": 1 << 12 if message.silent else 0,
        "webhook_id": message.channel_id,
    }


def answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json"} | (headers or {}))
