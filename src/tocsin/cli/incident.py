"""`tocsin incident`: everything about a run or an event, to keep and to write a post-mortem from."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Token, Url

Json = dict[str, Any]
PRIVATE = 0o600
MOST = 500
"""Deliveries, and events of a run without an id of its own: more are counted and left out."""

FILES = ("incident.json", "incident.md")


def incident(
    about: Annotated[str, typer.Argument(metavar="RUN|EVENT|PIPELINE", help="A run's id, an event's, or a pipeline.")],
    to: Annotated[str, typer.Argument(metavar="FILE.zip|FOLDER", help="What is written: a ZIP file, or a new folder.")],
    source: Annotated[str, typer.Option(help="Whose event, where two sources use one id.")] = "",
    around: Annotated[str, typer.Option(help="How long before and after it what people changed belongs to it.")] = "1h",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Write down an incident: its run, events, decisions, messages with every attempt, the silences that were on, the
    rules and webhooks that it met and, with an admin's token, what people changed meanwhile.

    It is what the API shows to this token, secrets masked: `incident.json` has everything, `incident.md` the story for
    people, with a timeline. A pipeline stands for its newest run.

    \b
    Examples:
      tocsin incident run_0198c5f2 orders.zip
      tocsin incident etl/orders orders-outage/ --around 4h
    """
    from tocsin.cli.incident_report import report
    from tocsin.cli.output import fail
    from tocsin.cli.spans import seconds

    target = Path(to)
    margin = timedelta(seconds=seconds("--around", around))
    if target.exists():
        fail(f"{to} is there already: name another.", 2)
    if not target.parent.is_dir():
        fail(f"{target.parent} is not a folder.", 2)
    found = collect(about, source, margin, url, token)
    texts = dict(zip(FILES, (as_json(found), report(found)), strict=True))
    try:
        write(target, texts)
    except OSError as error:
        fail(f"{error.filename or to}: {error.strerror}.", 1)
    print(f"{to}\t{len(found['events'])} events\t{len(found['deliveries'])} deliveries")
    for note in found["left_out"]:
        print(f"left out\t{note}")


def collect(about: str, source: str, margin: timedelta, url: str, token: str) -> Json:
    """Everything, from the API. Ends the command where there is no such thing or the token may not see it."""
    from tocsin import __version__
    from tocsin.app import clock_ms
    from tocsin.cli.client import ask, ask_all
    from tocsin.cli.why import found as reasons

    def asked(path: str) -> Any:
        return ask("GET", path, url=url, token=token)

    me = asked("/v1/me")
    why = reasons(about, source, url, token)
    left_out: list[str] = []
    run = asked(f"/v1/runs/{why['id']}") if "events" in why else None
    events = events_of(why, url, token)
    told = [one for chapter in why.get("events", [why]) for one in chapter["deliveries"]]
    ids = list(dict.fromkeys(one["id"] for one in told))
    if len(ids) > MOST:
        left_out.append(f"{len(ids) - MOST} of {len(ids)} deliveries")
    if why["elsewhere"]:
        left_out.append(f"{why['elsewhere']} deliveries to webhooks that this token may not see")
    deliveries = [one for id_ in ids[:MOST] if (one := there(f"/v1/deliveries/{id_}", url, token))]
    fates = {one["id"]: one for one in told}
    for one in deliveries:
        one["webhook"], one["fate"] = fates[one["id"]]["webhook"], fates[one["id"]]["fate"]
    since, until = span([*events, *deliveries, *(one for delivery in deliveries for one in delivery["log"])])
    since, until = since - margin, until + margin
    decided = [one for chapter in why.get("events", [why]) for one in chapter["decisions"]]
    rules = {one["rule_id"] for one in (*decided, *deliveries)}
    webhooks = {id_ for one in decided for id_ in one["webhooks"]} | {one["webhook_id"] for one in deliveries}
    changes = None
    if me["role"] == "admin" and "admin" in me["scopes"]:
        changes = ask_all(f"/v1/audit?since={moment(since)}&until={moment(until)}", url=url, token=token)[::-1]
    else:
        left_out.append("what people changed meanwhile: only an admin's token sees that")
    return {
        "about": {
            "asked": about,
            "since": moment(since),
            "until": moment(until),
            "exported_at": moment(datetime.fromtimestamp(clock_ms() / 1000, UTC)),
            "exported_by": me["user_id"] or me["name"],
            "tenant": me["tenant_id"],
            "tocsin": __version__,
        },
        "summary": why["summary"],
        "left_out": left_out,
        "run": run,
        "events": events,
        "why": why,
        "deliveries": deliveries,
        "rules": known("/v1/alert-rules", rules, url, token),
        "webhooks": known("/v1/webhooks", webhooks, url, token),
        "silences": [one for one in ask_all("/v1/silences", url=url, token=token) if overlaps(one, since, until)],
        "audit": changes,
    }


def events_of(why: Json, url: str, token: str) -> list[Json]:
    """Oldest first: those of the run, or the one."""
    from urllib.parse import quote, urlencode

    from tocsin.cli.client import ask_all

    if why.get("run_id") and "events" in why:
        asked = urlencode({"pipeline": why["pipeline"], "run_id": why["run_id"]})
        return ask_all(f"/v1/events?{asked}", url=url, token=token)[::-1]
    ids = [one["event_id"] for one in why.get("events", [why])][:MOST]
    return [one for id_ in ids if (one := there(f"/v1/events/{quote(id_, safe='')}", url, token))]


def there(path: str, url: str, token: str) -> Json | None:
    """What is at this path; None where it is gone."""
    from tocsin.cli.client import Refused, try_to_ask
    from tocsin.cli.output import fail

    try:
        found: Json = try_to_ask("GET", path, url=url, token=token)
    except Refused as refused:
        if refused.status == 404:
            return None
        fail(refused.detail, 2)
    return found


def known(path: str, ids: Iterable[str], url: str, token: str) -> list[Json]:
    """As they are now; of one that is gone its id alone."""
    return [there(f"{path}/{id_}", url, token) or {"id": id_, "gone": True} for id_ in sorted(ids) if id_]


TIMES = ("time", "received_at", "created_at", "delivered_at", "started_at")


def span(items: Iterable[Json]) -> tuple[datetime, datetime]:
    """From the first moment that they tell of to the last."""
    moments = [datetime.fromisoformat(one[name]) for one in items for name in TIMES if one.get(name)]
    return min(moments), max(moments)


def overlaps(silence: Json, since: datetime, until: datetime) -> bool:
    starts, ends = silence["starts_at"], silence["ends_at"]
    return (not starts or datetime.fromisoformat(starts) < until) and (not ends or datetime.fromisoformat(ends) > since)


def moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def as_json(found: Json) -> str:
    import json

    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def write(target: Path, texts: dict[str, str]) -> None:
    """Readable by its owner alone: it holds what pipelines said."""
    import os
    from zipfile import ZIP_DEFLATED, ZipFile

    def opened(path: Path) -> Any:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb")

    if target.suffix == ".zip":
        with opened(target) as out, ZipFile(out, "w", ZIP_DEFLATED) as archive:
            for name, text in texts.items():
                archive.writestr(f"{target.stem}/{name}", text)
        return
    target.mkdir(0o700)
    for name, text in texts.items():
        with opened(target / name) as out:
            out.write(text.encode())
