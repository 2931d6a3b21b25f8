"""Deliveries: the log, one with its attempts, and changing all that a filter chooses."""

import shlex
from typing import Any, NamedTuple

from starlette.responses import Response

from tocsin.model.errors import Invalid, Refusal
from tocsin.web.dashboard import charts
from tocsin.web.dashboard.advice import advice
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.filters import code_of, moment_of, one_of, parse, status_of, written
from tocsin.web.dashboard.forms import local
from tocsin.web.dashboard.kinds import speaker
from tocsin.web.dashboard.message_preview import look_of_delivery, with_frames
from tocsin.web.dashboard.named import endpoints_named, with_those
from tocsin.web.dashboard.ownership import may_change
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import NOW, parsed, plural, query, tick
from tocsin.web.help import address_for

TABS = (
    ("", "All", ""),
    ("delivered", "Delivered", "delivered"),
    ("waiting", "On their way", "waiting"),
    ("failed", "Failed", "failed"),
    ("suppressed", "Held back", "suppressed"),
)
"""The word for the filter, for people, and of the totals."""

WINDOWS = (("24h", "Last 24 hours"), ("7d", "Last 7 days"), ("30d", "Last 30 days"), ("all", "All there is"))
STANDARD_WINDOW = "24h"
OTHER_NAMES = {
    "since": "since",
    "endpoint": "endpoint",
    "status": "status",
    "webhook_id": "endpoint",
    "rule_id": "rule",
    "event_type": "type",
    "event_id": "event",
    "pipeline": "pipeline",
    "code": "code",
}
"""Parameters of addresses besides `q`: what is chosen from a list, and what other pages lead here with."""

EVER = "1970-01-01T00:00:00Z"
"""The filter for all there is: the API wants one."""

WAITING = ("waiting", "pending", "sending", "retrying")
SENT_AGAIN = ("dead", "expired", "cancelled", "suppressed", "delivered")
LABELS = 7


class Filter(NamedTuple):
    """`words` as they were written; `asked` as the API has them; `endpoints` by id."""

    words: dict[str, str]
    asked: dict[str, str]
    endpoints: dict[str, dict[str, Any]]

    @property
    def is_plain(self) -> bool:
        """Nothing but what the totals can be asked by."""
        return not set(self.words) - {"status", "endpoint", "rule", "since"} and "provider_type" not in self.asked


def words_of(visit: Visit) -> dict[str, str]:
    """What the address asks for. Raises Invalid."""
    words = parse(visit.query("q"))
    given = {word: visit.query(name) for name, word in OTHER_NAMES.items() if visit.query(name)}
    return given | words


async def filter_of(visit: Visit, words: dict[str, str]) -> Filter:
    """Raises Invalid for what is none, and names what there is."""
    now_ms = visit.app.clock_ms()
    endpoints = await endpoints_named(visit)
    asked: dict[str, str] = {}
    for word, value in words.items():
        if word == "status":
            asked["status"] = status_of(value)
        elif word == "code":
            asked["code"] = code_of(value)
        elif word == "endpoint" and value.lower() in {one["provider_type"] for one in endpoints.values()}:
            asked["provider_type"] = value.lower()
        elif word == "endpoint":
            asked["webhook_id"] = value if value.startswith("whk_") else await endpoint_of(visit, value)
        elif word == "rule":
            asked["rule_id"] = value if ":" in value or value.startswith("rul_") else await rule_of(visit, value)
        elif word in ("since", "until"):
            asked[word] = moment_of(word, value, now_ms)
        else:
            asked[{"type": "event_type", "event": "event_id"}.get(word, word)] = value
    if not {"since", "event"} & words.keys():
        asked["since"] = moment_of("since", STANDARD_WINDOW, now_ms)
    return Filter(words, {name: value for name, value in asked.items() if value}, endpoints)


async def endpoint_of(visit: Visit, value: str) -> str:
    """By its name or a part of it; where none has it, some are named."""
    return await called("endpoint", "/v1/webhooks/names", visit, value)


async def rule_of(visit: Visit, value: str) -> str:
    return await called("rule", "/v1/alert-rules/names", visit, value)


async def called(word: str, path: str, visit: Visit, value: str) -> str:
    found = (await visit.api.get(path, q=value, limit=100))["items"]
    known = found or (await visit.api.get(path, limit=10))["items"]
    return one_of(word, value, [(one["id"], one["name"]) for one in known])


async def show_list(visit: Visit) -> Response:
    trouble: Refusal | None = None
    empty: dict[str, Any] = {"items": [], "next": None}
    try:
        words = words_of(visit)
        chosen = await filter_of(visit, words)
        found = await visit.api.get("/v1/deliveries", **chosen.asked, cursor=visit.query("cursor"), limit=50)
        ids = {one["webhook_id"] for one in found["items"]} | {chosen.asked.get("webhook_id", "")} - {""}
        endpoints = await with_those(visit, chosen.endpoints, ids)
        chosen = chosen._replace(endpoints=endpoints)
    except (Invalid, Refused) as refused:
        if isinstance(refused, Refused) and refused.status not in (400, 403):
            raise
        trouble, found = refused, empty
        words = {}
        chosen = Filter(words, {}, await endpoints_named(visit))
    window = words.get("since", STANDARD_WINDOW)
    scope = {name: chosen.asked.get(name, "") for name in ("webhook_id", "rule_id")}
    hours, buckets = (24, 48) if window == "24h" else (168, 84)
    stats = await visit.api.get("/v1/stats/deliveries", hours=hours, buckets=buckets, **scope)
    attention = await visit.attention()
    response = await visit.page(
        "pages/deliveries.html",
        400 if trouble else 200,
        found=found,
        trouble=trouble,
        words=words,
        q=visit.query("q") if trouble else written(typed(words, chosen)),
        tabs=[
            (
                status,
                word,
                stats["totals"][total] if total else sum(stats["totals"].values()),
                with_status(words, status),
            )
            for status, word, total in TABS
        ],
        counts_fit=chosen.is_plain and window in ("24h", "7d"),
        status=words.get("status", ""),
        windows=WINDOWS,
        window=window,
        hours=hours,
        stats=stats,
        attention=attention,
        bars=bars_of(stats, hours),
        endpoints=chosen.endpoints,
        mine={id_ for id_, one in chosen.endpoints.items() if may_change(visit, one)},
        endpoint=chosen.asked.get("webhook_id", ""),
        add=lambda name, value: address(words | {name: value}),
        all_matching=address(words),
        cli=as_command(chosen),
        file=f"/v1/deliveries/export{query(chosen.asked)}",
        is_new=not words and not found["items"] and not sum(stats["totals"].values()),
        public_url=visit.app.settings.url,
    )
    return with_frames(response)  # a delivery's preview is shown beside the list


def typed(words: dict[str, str], chosen: Filter) -> dict[str, str]:
    """What stands in the box: without what the lists beside it show."""
    shown = {"since"} | ({"endpoint"} if chosen.asked.get("webhook_id") in chosen.endpoints else set())
    return {name: value for name, value in words.items() if name not in shown}


def address(words: dict[str, str]) -> str:
    """The query of this page for these words."""
    window = words.get("since", "")
    left = {name: value for name, value in words.items() if name != "since"}
    return query({"q": written(left), "since": "" if window == STANDARD_WINDOW else window})


def with_status(words: dict[str, str], status: str) -> str:
    return address(
        {name: value for name, value in words.items() if name != "status"} | ({"status": status} if status else {})
    )


def bars_of(stats: dict[str, Any], hours: int) -> charts.Bars:
    totals, bins = stats["totals"], []
    shown = "%H:%M UTC" if hours <= 24 else "%a %H:%M UTC"
    for bucket in stats["buckets"]:
        ends = bucket["ends"]
        parts = (("ok", "delivered"), ("warn", "waiting"), ("bad", "failed"), ("mute", "suppressed"))
        bins.append((parsed(bucket["at"]).strftime(shown), [(tone, ends[name]) for tone, name in parts]))
    starts = [bucket["at"] for bucket in stats["buckets"]][:: max(1, len(bins) // (LABELS - 1))]
    labels = [tick(at, "hour" if hours <= 24 else "day") for at in starts]
    said = (
        f"Deliveries of the last {plural(hours, 'hour')}: {totals['delivered']:,} delivered, {totals['waiting']:,} on "
        f"their way, {totals['failed']:,} failed, {totals['suppressed']:,} held back."
    )
    return charts.stacked(bins, [*labels[: LABELS - 1], NOW], said)


def as_command(chosen: Filter) -> str:
    """What the command line would be, as far as it has these filters."""
    known = (("status", "--status"), ("webhook_id", "--webhook"), ("event_id", "--event"))
    parts = [f"{option} {shlex.quote(chosen.asked[name])}" for name, option in known if name in chosen.asked]
    return " ".join(["tocsin deliveries list", *parts])


async def show(visit: Visit) -> Response:
    delivery = await visit.api.get(f"/v1/deliveries/{visit.path('id')}")
    endpoint = None
    try:
        endpoint = await visit.api.get(f"/v1/webhooks/{delivery['webhook_id']}")
    except Refused as refused:
        if refused.status != 404:  # it was deleted
            raise
    last = delivery["log"][-1] if delivery["log"] else None
    response = await visit.page(
        "pages/delivery.html",
        delivery=delivery,
        endpoint=endpoint,
        mine=endpoint is not None and may_change(visit, endpoint),
        look=await look_of_delivery(visit, delivery) if visit.query("look") and visit.may("developer") else None,
        told=told_of(delivery),
        last=last,
        curl=curl_of(last["request_body"]) if last and last["request_body"] else "",
    )
    return with_frames(response)


class Told(NamedTuple):
    """What a state means: `tone` is warn, bad or mute. `more`: the address of the page that explains it, or ""."""

    tone: str
    title: str
    text: str
    more: str = ""


def told_of(delivery: dict[str, Any]) -> Told | None:
    """None where there is nothing to say but the state."""
    status, reason = delivery["status"], delivery["reason"] or delivery["error_message"]
    more = address_for(status, reason)
    if status == "suppressed":
        return Told("mute", "It was held back; nothing failed.", reason, more)
    if status == "cancelled":
        return Told("mute", "It is not sent.", reason, more)
    if not reason or status in ("delivered", "pending", "sending"):
        return Told("mute", reason, "", more) if reason else None
    found = advice(speaker(delivery["provider_type"]), reason)
    if status == "retrying":
        return Told("warn", found.what, "Nothing has to be done: it is tried again by itself.", more)
    if status == "expired":
        return Told("bad", found.what, f"It became too old to be worth telling. {found.do}".rstrip(), more)
    return Told("bad", found.what, f"{found.do} Then replay.".lstrip() if found.do else "", more)


def curl_of(body: str) -> str:
    return f"curl -sS \"$WEBHOOK_URL\" -H 'content-type: application/json' --data-raw {shlex.quote(body)}"


async def replay(visit: Visit) -> Response:
    id_ = visit.path("id")
    await visit.api.post(f"/v1/deliveries/{id_}/replay")
    return visit.see(local(visit.form.get("next", ""), f"/deliveries/{id_}"), "It is sent again.")


async def cancel(visit: Visit) -> Response:
    id_ = visit.path("id")
    await visit.api.post(f"/v1/deliveries/{id_}/cancel")
    return visit.see(f"/deliveries/{id_}", "It is not sent.")


class Doing(NamedTuple):
    """What is done with all that are chosen."""

    path: str
    verb: str
    done: str
    counted: str
    about: str
    tone: str = ""


DOINGS = {
    "replay": Doing(
        "/v1/deliveries/replay", "Replay", "sent again", "replayed",
        "Each is sent again from the start of its schedule, under the same id: who keeps ids sees it once.",
    ),
    "cancel": Doing(
        "/v1/deliveries/cancel", "Do not send", "not sent", "changed",
        "What waits for its turn, or for another try, is not sent any more.", "destructive",
    ),
    "discard": Doing(
        "/v1/deliveries/discard", "Discard", "discarded", "discarded",
        "They leave the dead letters. The log keeps them as cancelled, and they can be replayed from there.",
        "destructive",
    ),
}  # fmt: skip


async def body_of(visit: Visit, doing: str, words: dict[str, str], ids: list[str]) -> dict[str, Any]:
    """What the API is asked for. Raises Invalid."""
    if doing not in DOINGS:
        raise Invalid("do", repr(doing[:40]), f"one of {', '.join(DOINGS)}")
    if ids:
        return {"ids": ids} | ({"status": list(SENT_AGAIN)} if doing == "replay" else {})
    body: dict[str, Any] = dict((await filter_of(visit, words)).asked)
    status = body.pop("status", "failed")
    body = body or {"since": EVER}
    if "event_id" in body:
        raise Invalid("event", "an event", "other words: its deliveries are changed one by one")
    if doing == "cancel":
        if status not in WAITING:
            raise Invalid("status", status, "waiting, or retrying: others are not to be sent anyway")
        return body
    if status in WAITING:
        raise Invalid("status", status, "failed, delivered or suppressed: these are on their way already")
    return body | {"status": ["dead", "expired"] if status == "failed" else [status]}


async def ask(visit: Visit) -> Response:
    """How many it would be, and whether that is meant."""
    doing, ids = visit.query("do", "replay"), visit.request.query_params.getlist("id")
    words = words_of(visit)
    body = await body_of(visit, doing, words, ids)
    found = await visit.api.look(DOINGS[doing].path, body | {"dry_run": True})
    return await visit.page(
        "pages/deliveries_change.html",
        do=doing,
        doing=DOINGS[doing],
        count=found["count"],
        ids=ids,
        q=written({name: value for name, value in words.items() if name != "since"}),
        since=words.get("since", ""),
        windows=WINDOWS,
        chosen=words.get("since", STANDARD_WINDOW),
        window=dict(WINDOWS).get(words.get("since", STANDARD_WINDOW), words.get("since", "")),
        back=local(visit.query("back"), f"/deliveries{address(words)}"),
    )


async def change(visit: Visit) -> Response:
    form = visit.form
    words = parse(form.get("q", "")) | ({"since": form["since"]} if form.get("since") else {})
    doing, ids = form.get("do", ""), visit.many.get("id", [])
    body = await body_of(visit, doing, words, ids)
    expected = form.get("expected", "")
    if not expected.isdecimal() or len(expected) > 6:
        raise Invalid("expected", repr(expected[:20]), "the count that was shown")
    found = await visit.api.post(DOINGS[doing].path, body | {"expected": int(expected)})
    did = found[DOINGS[doing].counted]
    left = found["count"] - did
    said = f"{plural(did, 'delivery is', 'deliveries are')} {DOINGS[doing].done}."
    said += (
        f" {plural(left, 'other was', 'others were')} on the way already, or went to an endpoint that is gone."
        if left
        else ""
    )
    return visit.see(local(form.get("back", ""), "/deliveries"), said)


PAGES = (
    Page("GET", "/deliveries", show_list),
    Page("GET", "/deliveries/change", ask, "developer"),
    Page("POST", "/deliveries/change", change, "developer"),
    Page("GET", "/deliveries/{id}", show),
    Page("POST", "/deliveries/{id}/replay", replay, "developer"),
    Page("POST", "/deliveries/{id}/cancel", cancel, "developer"),
)
