"""A Mattermost server, as far as incoming webhooks and a bot's posts go: what it takes, what it refuses in which words,
and what a channel then shows.

https://developers.mattermost.com/api-documentation/ and, for the ids of errors, the server itself:
https://github.com/mattermost/mattermost/blob/master/server/channels/app/webhook.go and api4/post.go
"""

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tocsin.fakes import Answer, Asked

CHANNEL = "4xp9fdt77pncbef59f4k1qe83o"
POST_CHARS = 16_383
PROPS_CHARS = 800_000
CACHED_MS = 30_000
"""For so long a second post with the same `pending_post_id` is the first one."""

_HOOK = re.compile(r"(?:/.*)?/hooks/([A-Za-z0-9]+)/?")
_POSTS = re.compile(r"(?:/.*)?/api/v4/posts")
_PATCH = re.compile(r"(?:/.*)?/api/v4/posts/([a-z0-9]+)/patch")
_ID = re.compile(r"[a-z0-9]{26}")
_MENTION = re.compile(r"(?<![\w.@])@([A-Za-z0-9][A-Za-z0-9._-]*)")
_CODE = re.compile(r"```.*?```", re.DOTALL)


@dataclass
class MattermostPost:
    """A post. `woken` are the names that it notified; `edits` its message and props before each edit; `replies` hang
    below their root. `channel` is the name that a webhook asked for, or an id."""

    id: str
    channel: str
    message: str
    props: dict[str, Any]
    at_ms: int
    root_id: str = ""
    username: str = ""
    woken: list[str] = field(default_factory=list)
    edits: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    replies: list["MattermostPost"] = field(default_factory=list)

    @property
    def attachments(self) -> list[dict[str, Any]]:
        return self.props.get("attachments") or []


class Refused(Exception):
    """An AppError: the id that never changes, and the words of the server's language."""

    def __init__(self, status: int, error_id: str, message: str) -> None:
        super().__init__(error_id)
        body = {
            "id": error_id,
            "message": message,
            "detailed_error": "",
            "request_id": "qe3eyht563d1b8xani3g93dgfh",
            "status_code": status,
        }
        self.answer = answer(status, body)


class FakeMattermost:
    """Every webhook of the right shape works, unless it is in `gone`; every token, unless `tokens` names the only ones.

    posts: what a channel shows, in the order in which it came; replies hang below theirs. channels: those that exist,
    by name or id; the first is the webhooks' own. locked: whether webhooks may post to their own channel only.
    hooks_off: whether the server has webhooks switched off. edit_ms: how long a post's text may be edited; None is for
    ever. next: answers that are given before anything is looked at, first come first.
    """

    hosts: tuple[str, ...] = ("mm.example.com",)

    def __init__(self) -> None:
        self.posts: list[MattermostPost] = []
        self.channels: list[str] = ["town-square", CHANNEL]
        self.gone: set[str] = set()
        self.tokens: set[str] | None = None
        self.locked = False
        self.hooks_off = False
        self.edit_ms: int | None = None
        self.next: deque[Answer] = deque()
        self._pending: dict[str, MattermostPost] = {}
        self._count = 0

    def answer(self, asked: Asked) -> Answer:
        """`ok` for a webhook, the post for a bot, or an AppError."""
        if self.next:
            return self.next.popleft()
        path = asked.path.partition("?")[0]
        try:
            if asked.method == "POST" and (hook := _HOOK.fullmatch(path)):
                self._hooked(hook[1], asked)
                return Answer(200, b"ok", {"content-type": "text/plain", "x-request-id": "qe3eyht563d1b8xani3g93dgfh"})
            if asked.method == "POST" and _POSTS.fullmatch(path):
                return answer(201, shown(self._created(asked)))
            if asked.method == "PUT" and (found := _PATCH.fullmatch(path)):
                return answer(200, shown(self._patched(found[1], asked)))
        except Refused as refused:
            return refused.answer
        return Answer(404, b"<!doctype html><title>Mattermost</title>", {"content-type": "text/html"})

    def remove(self, post_id: str) -> None:
        """What somebody with the rights for it does in the channel."""
        self.posts = [one for one in self.posts if one.id != post_id]

    def _hooked(self, hook: str, asked: Asked) -> None:
        if self.hooks_off:
            words = "Incoming webhooks have been disabled by the system admin."
            raise Refused(501, "web.incoming_webhook.disabled.app_error", words)
        body = decoded(asked, "api.webhook.incoming.error")
        if hook in self.gone or not _ID.fullmatch(hook):
            raise Refused(400, "web.incoming_webhook.invalid.app_error", "Invalid webhook.")
        text, attachments = body.get("text") or "", body.get("attachments")
        if not text and not attachments:
            raise Refused(400, "web.incoming_webhook.text.app_error", "No text specified.")
        channel = str(body.get("channel") or self.channels[0]).removeprefix("#")
        if channel not in self.channels and not channel.startswith("@"):
            raise Refused(404, "web.incoming_webhook.channel.app_error", "Couldn't find the channel.")
        if self.locked and channel != self.channels[0]:
            words = "This webhook is not permitted to post to the requested channel."
            raise Refused(403, "web.incoming_webhook.channel_locked.app_error", words)
        props = dict(body.get("props") or {}) | ({"attachments": attachments} if attachments else {})
        for start in range(0, max(1, len(text)), POST_CHARS):  # a longer text becomes several posts
            self.posts.append(self._new(channel, text[start : start + POST_CHARS], props, asked.at_ms))
            self.posts[-1].username = body.get("username") or ""

    def _created(self, asked: Asked) -> MattermostPost:
        self._signed_in(asked)
        body = decoded(asked, "api.context.invalid_body_param.app_error")
        message, props, channel = body.get("message") or "", body.get("props") or {}, body.get("channel_id") or ""
        if not _ID.fullmatch(channel):
            words = "Invalid or missing channel_id in request body."
            raise Refused(400, "api.context.invalid_body_param.app_error", words)
        if channel not in self.channels:
            raise not_allowed()
        check(message, props)
        root_id = body.get("root_id") or ""
        root = next((one for one in self.posts if one.id == root_id), None)
        if root_id and root is None:
            raise Refused(400, "api.post.create_post.root_id.app_error", "Invalid RootId parameter.")
        if root and root.channel != channel:
            words = "Invalid ChannelId for RootId parameter."
            raise Refused(400, "api.post.create_post.channel_root_id.app_error", words)
        before = self._pending.get(body.get("pending_post_id") or "")
        if before and asked.at_ms - before.at_ms < CACHED_MS:
            return before
        made = self._new(channel, message, props, asked.at_ms, root_id)
        (root.replies if root else self.posts).append(made)
        if body.get("pending_post_id"):
            self._pending[body["pending_post_id"]] = made
        return made

    def _patched(self, post_id: str, asked: Asked) -> MattermostPost:
        self._signed_in(asked)
        body = decoded(asked, "api.context.invalid_body_param.app_error")
        found = next((one for one in self.posts if one.id == post_id), None)
        if found is None:
            raise not_allowed()  # so does the server where the post is gone
        message, props = body.get("message", found.message), body.get("props", found.props)
        check(message, props)
        if self.edit_ms is not None and asked.at_ms > found.at_ms + self.edit_ms and message != found.message:
            words = (
                f"Post edit is only allowed for {self.edit_ms // 1000} seconds. Please ask your system administrator."
            )
            raise Refused(400, "api.post.update_post.permissions_time_limit.app_error", words)
        found.edits.append((found.message, found.props))
        found.message, found.props = message, props
        return found

    def _signed_in(self, asked: Asked) -> None:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not token or (self.tokens is not None and token not in self.tokens):
            words = "Invalid or expired session, please login again."
            raise Refused(401, "api.context.session_expired.app_error", words)

    def _new(self, channel: str, message: str, props: dict[str, Any], at_ms: int, root_id: str = "") -> MattermostPost:
        self._count += 1
        post = MattermostPost(f"{self._count:026d}", channel, message, props, at_ms, root_id)
        post.woken = woken(post)
        return post


def woken(post: MattermostPost) -> list[str]:
    """The names after an `@`, wherever the server looks for them: not in code. A back-slash does not stop it."""
    texts = [post.message]
    for one in post.attachments:
        texts += [one.get("pretext") or "", one.get("text") or ""]
        texts += [str(pair.get("value", "")) for pair in one.get("fields") or []]
    found = [name for text in texts for name in _MENTION.findall(_CODE.sub("", text))]
    return list(dict.fromkeys(found))


def check(message: str, props: dict[str, Any]) -> None:
    if len(message) > POST_CHARS:
        raise Refused(
            400,
            "model.post.is_valid.msg.app_error",
            "Post Message property is longer than the maximum permitted length.",
        )
    if len(json.dumps(props)) > PROPS_CHARS:
        raise Refused(400, "model.post.is_valid.props.app_error", "Invalid props.")


def decoded(asked: Asked, error_id: str) -> dict[str, Any]:
    try:
        body = json.loads(asked.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, error_id, "Could not decode the payload.")
    return body


def not_allowed() -> Refused:
    return Refused(403, "api.context.permissions.app_error", "You do not have the appropriate permissions.")


def shown(post: MattermostPost) -> dict[str, Any]:
    """A post, without what nobody here reads."""
    return {
        "id": post.id,
        "create_at": post.at_ms,
        "update_at": post.at_ms,
        "channel_id": post.channel,
        "root_id": post.root_id,
        "message": post.message,
        "type": "slack_attachment" if post.attachments else "",
        "props": post.props,
    }


def answer(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json"})
