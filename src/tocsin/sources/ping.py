"""Pings, as cron jobs have sent them to Healthchecks for years: https://healthchecks.io/docs/http_api/

An address is a pipeline: asked plainly it succeeded, with `/start` it began, with `/fail` or an exit status it failed,
with `/log` it says something. What is posted is the end of its output.
"""

import re
from typing import Annotated

from msgspec import Meta, Struct

from tocsin.model.errors import Invalid, NotFound
from tocsin.provider_kit.text import tail
from tocsin.sources.draft import EXPECTED, Draft, has_control
from tocsin.sources.fitting import TEXT_CHARS, draft, printable
from tocsin.sources.incoming import Incoming, Source, Taken, id_of

SLUG = re.compile(r"[a-z0-9_-]{1,128}")
STATUS = re.compile(r"\d{1,3}")
MOST_STATUS = 255
ERROR_CHARS = 2000

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,128}\Z")]
Pipeline = Annotated[str, Meta(max_length=256)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Either one `pipeline`, whose address is the key alone; or a ping key for many, `/ping/{key}/{slug}`: the
    pipeline is `prefix` and the slug. `slugs` are those that there are; with `create` others come to be by a ping with
    `?create=1`. `labels` are put on every event."""

    pipeline: Pipeline = ""
    prefix: Annotated[str, Meta(max_length=100)] = ""
    slugs: Annotated[list[Slug], Meta(max_length=1000)] = []
    create: bool = False
    labels: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=128)], Annotated[str, Meta(max_length=512)]],
        Meta(max_length=20),
    ] = {}


class Ping(Struct, frozen=True):
    """One ping. `verb` is success, start, fail or log; `status` the exit status where one was sent, -1 for none;
    `output` the end of what the job said."""

    pipeline: str
    verb: str
    status: int = -1
    run_id: str = ""
    rid: str = ""
    output: str = ""
    labels: dict[str, str] = {}


def check_settings(settings: Settings) -> None:
    """Raises Invalid."""
    if settings.pipeline and (settings.prefix or settings.slugs or settings.create):
        raise Invalid("settings.pipeline", "a pipeline and slugs", "one pipeline, or slugs for many")
    if not (settings.pipeline or settings.slugs or settings.create):
        raise Invalid("settings", "neither", "a pipeline, or slugs, or create for slugs that come to be")
    for field, value in (("pipeline", settings.pipeline), ("prefix", settings.prefix)):
        if has_control(value):
            raise Invalid(f"settings.{field}", repr(value[:60]), EXPECTED["pipeline"])


def verb_of(word: str) -> tuple[str, int]:
    """What the last part of an address says: the verb, and the exit status. Raises NotFound for what says nothing."""
    if word in ("start", "fail", "log"):
        return word, -1
    if STATUS.fullmatch(word) and word.isascii() and int(word) <= MOST_STATUS:
        return ("fail" if int(word) else "success"), int(word)
    raise NotFound("A ping's address ends with nothing, start, fail, log or an exit status from 0 to 255.")


def output_of(body: bytes) -> str:
    """The end of it, as text."""
    said = body[-4 * TEXT_CHARS :].decode("utf-8", "replace") if body else ""
    return tail(printable(said).replace("\x00", ""), TEXT_CHARS)


TYPES = {"success": "run.succeeded", "start": "run.started", "fail": "run.failed", "log": "run.progress"}


def draft_of(ping: Ping, source_id: str) -> Draft:
    """A word without a run to belong to is no run of its own. With a `rid` the same ping twice is one event."""
    type_ = TYPES[ping.verb] if ping.run_id else "ping.log"
    error = ""
    if ping.verb == "fail":
        said = f"exit status {ping.status}" if ping.status > 0 else "the job said that it failed"
        error = f"{said}\n{tail(ping.output, ERROR_CHARS)}".rstrip()
    is_log = ping.verb == "log"
    return draft(
        source="ping",
        type=type_,
        id=id_of(source_id, ping.pipeline, ping.rid, ping.verb, ping.status) if ping.rid and not is_log else None,
        pipeline=ping.pipeline,
        run_id=ping.run_id,
        message=tail(ping.output, ERROR_CHARS) if type_ == "ping.log" else "",
        labels=ping.labels,
        data={
            "exit_status": ping.status if ping.status >= 0 else None,
            "error": error,
            "log": ping.output,
        },
    )


def read(incoming: Incoming) -> Taken:
    raise NotFound("Pings have an address of their own: /ping/{key}.")


SOURCE = Source(
    kind="ping", label="Ping", read=read, settings_type=Settings, check_settings=check_settings, path="/ping/"
)
