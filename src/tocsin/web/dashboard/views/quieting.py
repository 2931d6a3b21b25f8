"""To silence a pipeline for a while from wherever one sees it, and to end that again."""

import datetime as dt
from typing import Any

from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.web.dashboard.forms import local
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.routes import rfc3339

SPANS = {"30m": (1800, "30 min"), "1h": (3600, "1 h"), "2h": (7200, "2 h"), "4h": (14_400, "4 h")}
MORNING = 9


def morning_after(now_ms: int) -> str:
    """The next 09:00 UTC, for browsers that do not say theirs."""
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    nine = now.replace(hour=MORNING, minute=0, second=0, microsecond=0)
    if nine <= now:
        nine += dt.timedelta(days=1)
    return str(rfc3339(int(nine.timestamp() * 1000)))


async def silence(visit: Visit) -> Response:
    pipeline, for_ = visit.form.get("pipeline", ""), visit.form.get("for", "2h")
    back = local(visit.form.get("next", ""), "/silences")
    body: dict[str, Any] = {
        "matchers": [{"field": "pipeline", "value": pipeline}],
        "reason": visit.form.get("reason", ""),
    }
    if for_ == "morning":
        until = visit.form.get("morning", "") or morning_after(visit.app.clock_ms())
        said = "until 09:00"
        body["ends_at"] = until
    elif for_ in SPANS:
        seconds, words = SPANS[for_]
        said = f"for {words}"
        body["duration_s"] = seconds
    else:
        raise Invalid("for", repr(for_[:20]), f"{', '.join(SPANS)} or morning")
    if not pipeline:
        raise Invalid("pipeline", "nothing", "a pipeline's name")
    made = await visit.api.post("/v1/silences", body)
    undo = Undo("/pipelines/silence/end", {"id": made["id"], "next": back})
    return visit.see(back, f"{pipeline} is silent {said}. What it hides is told when that ends.", undo=undo)


async def end(visit: Visit) -> Response:
    id_ = visit.form.get("id", "")
    back = local(visit.form.get("next", ""), "/silences")
    if not id_.startswith("sil_"):
        raise Invalid("id", repr(id_[:60]), "a silence's id")
    await visit.api.delete(f"/v1/silences/{id_}")
    return visit.see(back, "The silence has ended.")


PAGES = (
    Page("POST", "/pipelines/silence", silence, "developer"),
    Page("POST", "/pipelines/silence/end", end, "developer"),
)
