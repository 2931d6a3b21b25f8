"""Rows to values and back, for the tables that several queries read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from tocsin.model.delivery import Delivery, Words
from tocsin.model.endpoint import Endpoint, Options
from tocsin.model.event import Action, Event
from tocsin.model.noise import Noise
from tocsin.model.rule import RateLimit, RetryPolicy, Rule
from tocsin.model.run import Run, RunAbout, Stage
from tocsin.store.database import Row

encode = msgspec.json.encode
log = structlog.get_logger()
Value = TypeVar("Value")

UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError)
"""What decoding raises for a row that this program, or a good disk, did not write."""


def readable(decode: Callable[[Row], Value], found: Iterable[Row]) -> Iterator[Value]:
    """The values. A row that cannot be read is left out, and said so: it must not keep the others from their work."""
    for row in found:
        try:
            yield decode(row)
        except UNREADABLE as error:
            log.error(
                "store.unreadable", what=decode.__name__, row=[str(part)[:64] for part in row[:3]], reason=str(error)
            )


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of an event that no query asks for."""

    title: str = ""
    message: str = ""
    labels: dict[str, str] = {}
    data: dict[str, Any] = {}
    links: dict[str, str] = {}
    actions: tuple[Action, ...] = ()


_content = msgspec.json.Decoder(Content)
_stages = msgspec.json.Decoder(tuple[Stage, ...])
_about = msgspec.json.Decoder(RunAbout)
_noise = msgspec.json.Decoder(Noise)
_options = msgspec.json.Decoder(Options)
_words = msgspec.json.Decoder(Words)
_strings = msgspec.json.Decoder(tuple[str, ...])
_labels = msgspec.json.Decoder(dict[str, str])
_retry = msgspec.json.Decoder(RetryPolicy)
_rate = msgspec.json.Decoder(RateLimit)


def text(value: Any) -> str:
    return encode(value).decode()


def event_content(event: Event) -> str:
    return text(Content(event.title, event.message, event.labels, event.data, event.links, event.actions))


def event(row: Row) -> Event:
    """Of the columns that `list_events` and `events_of` name."""
    tenant_id, uid, id_, source, type_, kind, severity, pipeline, run_id, stage, time_ms, received_ms, content = row
    rest = _content.decode(content)
    return Event(
        tenant_id=tenant_id,
        uid=uid,
        id=id_,
        source=source,
        type=type_,
        kind=kind,
        severity=severity,
        pipeline=pipeline,
        run_id=run_id,
        stage=stage,
        time_ms=time_ms,
        received_ms=received_ms,
        title=rest.title,
        message=rest.message,
        labels=rest.labels,
        data=rest.data,
        links=rest.links,
        actions=rest.actions,
    )


DAMAGED = text(Content(message="What this event said cannot be read any more."))


def shown_event(row: Row) -> Event:
    """The same for those who look: one whose content is damaged says so, and hides no other."""
    try:
        return event(row)
    except UNREADABLE:
        return event((*row[:-1], DAMAGED))


ABOUT_BYTES = 16_384
NO_ABOUT = RunAbout()


def about(run: Run) -> str:
    """JSON; without the data, and without the rest too, where that would be too much to write with every event."""
    if run.about == NO_ABOUT:
        return ""
    encoded = encode(run.about)
    if len(encoded) > ABOUT_BYTES:
        encoded = encode(replace(run.about, data={}))
    if len(encoded) > ABOUT_BYTES:
        encoded = encode(replace(run.about, data={}, title="", message="", labels={}, links={}))
    return encoded.decode()


def run(row: Row) -> Run:
    """Of the columns that `lock_runs` names."""
    tenant_id, id_, pipeline, run_id, attempt, status, started_ms, finished_ms, updated_ms, error, stages = row[:11]
    about, parent_run_id, log_tail = row[11:]
    return Run(
        tenant_id=tenant_id,
        id=id_,
        pipeline=pipeline,
        run_id=run_id,
        attempt=attempt,
        status=status,
        started_ms=started_ms,
        finished_ms=finished_ms,
        updated_ms=updated_ms,
        error=error,
        stages=_stages.decode(stages),
        about=_about.decode(about) if about else RunAbout(),
        parent_run_id=parent_run_id,
        log_tail=log_tail,
    )


def delivery(row: Row) -> Delivery:
    """Of the columns that `claim_first` and `claim_retries` return, without `plain` and `retry`."""
    (
        tenant_id,
        id_,
        event_uid,
        endpoint_id,
        rule_id,
        provider_type,
        event_type,
        attempts,
        failures,
        _plain,
        _policy,
    ) = row[:11]
    due_ms, expires_ms, body, created_ms, words = row[11:]
    return Delivery(
        tenant_id=tenant_id,
        id=id_,
        event_uid=event_uid,
        endpoint_id=endpoint_id,
        rule_id=rule_id,
        provider_type=provider_type,
        event_type=event_type,
        status="sending",
        attempts=attempts,
        failures=failures,
        due_ms=due_ms,
        expires_ms=expires_ms,
        created_ms=created_ms,
        body=None if body is None else bytes(body),
        words=words_of(words),
    )


def words_of(value: str) -> Words:
    return _words.decode(value) if value else Words()


def strings(value: str) -> tuple[str, ...]:
    return _strings.decode(value)


def retry_policy(value: str) -> RetryPolicy:
    return _retry.decode(value) if value else RetryPolicy()


def endpoint(row: Row) -> Endpoint:
    """Of the columns that `get_endpoint` names."""
    return Endpoint(
        tenant_id=row[0],
        id=row[1],
        user_id=row[2],
        provider_type=row[3],
        name=row[4],
        description=row[5],
        address_hint=row[6],
        enabled_events=_strings.decode(row[7]),
        settings=msgspec.json.decode(row[8]),
        options=_options.decode(row[9]),
        header_names=_strings.decode(row[10]),
        is_active=bool(row[11]),
        disabled_reason=row[12],
        consecutive_failures=row[13],
        last_used_ms=row[14],
        last_error=row[15],
        created_by=row[16],
        created_ms=row[17],
        updated_ms=row[18],
    )


def rule(row: Row) -> Rule:
    return Rule(
        tenant_id=row[0],
        id=row[1],
        name=row[2],
        event_types=_strings.decode(row[3]),
        pipelines=_strings.decode(row[4]),
        labels=_labels.decode(row[5]),
        condition=row[6],
        endpoint_ids=_strings.decode(row[7]),
        retry=_retry.decode(row[8]),
        rate_limit=_rate.decode(row[9]) if row[9] else None,
        settings=msgspec.json.decode(row[10]),
        noise=_noise.decode(row[11]),
        is_active=bool(row[12]),
        created_by=row[13],
        created_ms=row[14],
        updated_ms=row[15],
    )
