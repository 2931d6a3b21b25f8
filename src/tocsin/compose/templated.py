"""Message templates: a person's own words for the title, the text and the facts of a message, in Liquid.

    {"title": "{{ event.pipeline }}: {{ run.status }}", "fields": {"Rows": "{{ data.rows }}"}}

What an event says is a value and is never compiled. A template that fails costs no message: the usual one is sent, with
the reason in its small print.
"""

from typing import Any

from msgspec.structs import replace

from tocsin.compose.facts import VALUE_CHARS
from tocsin.compose.message import SAID_CHARS, TEXT_CHARS, TITLE_CHARS
from tocsin.model.errors import Invalid
from tocsin.model.event import Event
from tocsin.model.message import Message
from tocsin.model.noise import Templates
from tocsin.model.run import Run
from tocsin.provider_kit import body
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.templates import MAX_BYTES, Allowance, TemplateFailed, check_template, names, render
from tocsin.provider_kit.text import cut, line, lines

FIELDS = 10
NAME_CHARS = 40
"""Of a field's name: what stands beside a value on a phone."""


def check(templates: Templates, field_prefix: str) -> None:
    """Raises Invalid, with the field that is wrong such as `templates.fields.Rows`, for what could never be rendered
    and for names that stand for nothing."""
    if len(templates.fields) > FIELDS:
        raise Invalid(f"{field_prefix}.fields", f"{len(templates.fields)} fields", f"at most {FIELDS}")
    size = 0
    for field, source in _sources(templates, field_prefix):
        size += len(source.encode(errors="replace"))
        if size > MAX_BYTES:
            raise Invalid(
                field_prefix, f"more than {MAX_BYTES} bytes", f"at most {MAX_BYTES} in all templates together"
            )
        check_template(source, field)
        _check_names(source, field)


def _sources(templates: Templates, prefix: str) -> list[tuple[str, str]]:
    """(field, template) of those that there are."""
    found = [(f"{prefix}.title", templates.title), (f"{prefix}.text", templates.text)]
    for name, source in templates.fields.items():
        shown = cut(line(name[: NAME_CHARS * 4]), NAME_CHARS)
        if not shown or shown != name:
            raise Invalid(f"{prefix}.fields", f"the name {shown!r}", f"one line of 1 to {NAME_CHARS} characters")
        found.append((f"{prefix}.fields.{name}", source))
    return [(field, source) for field, source in found if source]


def _check_names(source: str, field: str) -> None:
    for path in names(source):
        if path[0] not in NAMES:
            raise Invalid(field, f"the variable {'.'.join(path)!r}", f"one of {', '.join(NAMES)}")
        known = NAMES[path[0]]
        if known and len(path) > 1 and path[1] not in known:
            raise Invalid(field, f"the variable {'.'.join(path)!r}", f"{path[0]} and one of {', '.join(sorted(known))}")


def apply(message: Message, templates: Templates, event: Event, run: Run | None) -> tuple[Message, str]:
    """(the message in these words, "") or (the message as it was with a note, why a template failed). All templates
    together take no longer than one may: 100 ms."""
    values, allowance = variables(message, event, run), Allowance()
    try:
        title = line(render(templates.title, values, allowance)) if templates.title else ""
        text = lines(render(templates.text, values, allowance)).strip() if templates.text else message.text
        fields = [(name, line(render(source, values, allowance))) for name, source in templates.fields.items()]
    except TemplateFailed as failure:
        reason = cut(line(failure.reason), SAID_CHARS)
        return replace(message, footer=(f"the template failed: {reason}", *message.footer)), reason
    title, text = cut(title, TITLE_CHARS) or message.title, cut(text, TEXT_CHARS)
    facts = tuple((cut(line(name), NAME_CHARS), cut(value, VALUE_CHARS)) for name, value in fields if value)
    sentence = _sentence(message.emoji, title, text) if templates.title or templates.text else message.sentence
    return replace(message, title=title, text=text, sentence=sentence, facts=facts if fields else message.facts), ""


def _sentence(emoji: str, title: str, text: str) -> str:
    said = cut(line(text), SAID_CHARS)
    return f"{emoji} {title}: {said}".strip() if said else f"{emoji} {title}".strip()


def variables(message: Message, event: Event, run: Run | None) -> dict[str, Any]:
    """What a template may name. `event` has every name of a custom webhook's template, with the values that the event
    itself came with."""
    found = body.values(message)
    del found["schema"]
    found |= {
        "id": event.id,
        "type": event.type,
        "kind": event.kind,
        "source": event.source,
        "time": rfc3339(event.time_ms),
        "severity": event.severity,
        "pipeline": event.pipeline,
        "run_id": event.run_id,
        "stage": event.stage or message.stage,
        "title": event.title or message.title,
        "message": cut(lines(event.message[: TEXT_CHARS * 2]), TEXT_CHARS),
        "labels": event.labels,
        "data": event.data,
    }
    return {
        "event": found,
        "run": _run(run) if run else {},
        "message": {
            "emoji": message.emoji,
            "tone": message.tone,
            "title": message.title,
            "sentence": message.sentence,
            "text": message.text,
            "cause": message.cause,
            "detail": message.detail,
            "facts": dict(message.facts),
            "footer": list(message.footer),
        },
        "data": event.data,
        "labels": event.labels,
        "links": found["links"],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "pipeline": run.pipeline,
        "attempt": run.attempt,
        "status": run.status,
        "started": _time(run.started_ms),
        "finished": _time(run.finished_ms),
        "duration_s": _seconds(run.duration_ms),
        "error": run.error,
        "stages": [
            {"name": one.name, "status": one.status, "duration_s": _seconds(one.duration_ms), "error": one.error}
            for one in run.stages
        ],
    }


def _time(ms: int | None) -> str:
    return "" if ms is None else rfc3339(ms)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _names() -> dict[str, frozenset[str]]:
    event = Event(uid="", tenant_id="", id="", source="", type="", kind="", time_ms=0, received_ms=0)
    message = Message(
        event_id="", event_uid="", event_type="", kind="", source="", severity="", tone="neutral", emoji="", title="",
        sentence="",
    )  # fmt: skip
    run = Run(id="", tenant_id="", pipeline="", run_id="")
    return {name: frozenset(found) for name, found in variables(message, event, run).items()}


NAMES = _names()
"""What a template may name, and what is known to be in it; nothing is known of `data`, `labels` and `links`."""
