"""What a silence kept back is told once it is over: one message to each endpoint that was kept from something."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from tocsin.model.errors import Refusal
from tocsin.model.rule import Rule
from tocsin.model.world import Matcher, Silence
from tocsin.rules.silencing import is_on
from tocsin.sources.draft import Draft
from tocsin.store import silences
from tocsin.store.database import Database

LATE_MS = 2000
"""So long after its end, what was decided while it lasted is written, by every process."""

AT_ONCE = 100
MOST_READ = 10_000
MOST_NAMED = 3
VERBS = {
    "failed": "failed", "succeeded": "succeeded", "warning": "ended with a warning", "cancelled": "were cancelled",
    "started": "started", "exceeded": "took too long", "missed": "were missed", "alert": "alerted",
    "alert.resolved": "were resolved", "safety.rollback": "were rolled back",
}  # fmt: skip
log = structlog.get_logger()


class Accept(Protocol):
    """Intake's door."""

    async def __call__(self, tenant_id: str, drafts: list[Draft], *, only_rule: Rule | None = None) -> Any: ...


async def end_silences(db: Database, now_ms: int, accept: Accept) -> None:
    """One round; safe to run in several processes at once. What is told has an id made of what it tells, so that it is
    told once even where the note that it was told is lost."""
    over_ms = now_ms - LATE_MS
    after = ""
    while due := await silences.due(db, over_ms, after, AT_ONCE):
        after = due[-1].silence.id
        for one in due:
            if is_on(one.silence, over_ms) or is_on(one.silence, now_ms):
                continue  # its hours go on
            if not await told(db, one, accept):
                continue
            if one.silence.ends_ms is not None and one.silence.ends_ms <= over_ms:
                async with db.transaction() as tx:
                    await silences.finish(tx, one.tenant_id, one.silence.id, now_ms)


async def told(db: Database, due: silences.Due, accept: Accept) -> bool:
    """Whether everything was told. What intake refuses for now is told in a later round."""
    tenant_id, silence = due.tenant_id, due.silence
    for untold in await silences.untold(db, tenant_id, silence.id):
        count = untold.count - untold.told
        messages = await silences.hidden_messages(db, tenant_id, silence.id, untold.endpoint_id, min(count, MOST_READ))
        draft = summary(silence, untold.endpoint_id, untold.count, count, messages)
        rule = Rule(id="silence", tenant_id=tenant_id, name="what a silence hid", endpoint_ids=(untold.endpoint_id,))
        try:
            await accept(tenant_id, [draft], only_rule=rule)
        except Refusal as refusal:
            log.warning("sweep.silence_end_refused", silence=silence.id, reason=refusal.detail)
            return False
        async with db.transaction() as tx:
            await silences.note_told(tx, tenant_id, silence.id, untold)
    return True


def summary(
    silence: Silence, endpoint_id: str, number: int, count: int, messages: Sequence[tuple[str, str, int]]
) -> Draft:
    """The event. `number` counts what the silence hid from this endpoint in all, `count` what was not told of yet."""
    name = named(silence.matchers)
    kinds: Counter[str] = Counter()
    pipelines: Counter[str] = Counter()
    for kind, pipeline, many in messages:
        kinds[kind] += many
        pipelines[pipeline] += many
    said = ", ".join(f"{many} {verb(kind)}" for kind, many in kinds.most_common())
    about = listed([f"{pipeline or 'no pipeline'} ({many})" for pipeline, many in pipelines.most_common()])
    by = f"Silenced by {silence.created_by}" if silence.created_by else "Silenced"
    because = f": {silence.reason}" if silence.reason else "."
    return Draft(
        id=f"silence.ended:{silence.id}:{endpoint_id}:{number}",
        source="tocsin",
        type="silence.ended",
        kind="other",
        severity="info",
        title=f"Silence of {name} ended: {count} message{'s were' if count != 1 else ' was'} kept back"[:512],
        message="\n".join(part for part in (said, about, by + because) if part),
        data={
            "silence_id": silence.id,
            "kept_back": count,
            "kinds": dict(kinds),
            "pipelines": dict(pipelines.most_common(20)),
            "silenced_by": silence.created_by,
            "silence_reason": silence.reason,
        },
    )


def verb(kind: str) -> str:
    """`failed` for run.failed, `stages failed` for stage.failed."""
    family, _, state = kind.partition(".")
    if kind in VERBS:
        return VERBS[kind]
    said = VERBS.get(state, state or kind)
    return f"stages {said}" if family == "stage" else said


def named(matchers: Sequence[Matcher]) -> str:
    """`etl/*`; `pipeline etl/* and severity not critical`."""
    if len(matchers) == 1 and matchers[0].field == "pipeline" and not matchers[0].negate:
        return matchers[0].value
    return " and ".join(f"{one.field} {'not ' if one.negate else ''}{one.value}" for one in matchers)


def listed(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
