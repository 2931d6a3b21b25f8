"""What is looked up is complete: events, metrics, and a how-to for every provider, source and task. Made from the code,
or held against it."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness import Running
from tocsin.flows.engine import FLOWABLE
from tocsin.flows.tasks import HANDLERS
from tocsin.flows.types import TASKS
from tocsin.model.event import KINDS
from tocsin.providers import PROVIDERS
from tocsin.rules.explain import MOST_OTHERS
from tocsin.rules.own import STILL_FAILING
from tocsin.rules.plan import MAX_TRACED
from tocsin.sources import SOURCES
from tocsin.sources.draft import EXPECTED, SEVERITY_OF
from tocsin.sources.kinds import RUN_KINDS, STAGE_KINDS, VERBS, kind_of
from tocsin.sources.native import FIELDS
from tocsin.web.metrics import Stages

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/tocsin"
FIELD_SAYS = {
    "type": "what happened; the only one that must be there",
    "id": "what two events have in common that are the same; made where it is left out",
    "source": "who says so; `http` where it is left out",
    "pipeline": "what ran",
    "run_id": "which execution of it",
    "stage": "which part of it",
    "time": "when it happened",
    "severity": "how bad it is",
    "title": "the words at the top of a message, in place of Tocsin's",
    "message": "the words below",
    "labels": "what rules and silences tell apart",
    "data": "whatever else belongs to it: conditions and templates read it, and the fields that Tocsin itself knows",
    "links": "addresses by name, which messages show",
    "actions": "buttons of a message",
}
KIND_SAYS = {
    "run.started": "a run began",
    "run.progress": "it goes on",
    "run.paused": "it waits for somebody",
    "run.succeeded": "it ended well",
    "run.failed": "it failed",
    "run.warning": "it ended with a warning, or warns",
    "run.cancelled": "somebody ended it",
    "run.exceeded": "it takes too long",
    "run.missed": "it did not begin, or end, when it should have",
    "stage.started": "a stage of a run began",
    "stage.progress": "it goes on",
    "stage.succeeded": "it ended well",
    "stage.failed": "it failed",
    "stage.skipped": "it was left out, or ended by somebody",
    "rollout.advanced": "a rollout went on to its next stage",
    "safety.rollback": "a rollout was taken back",
    "alert": "a monitor found something",
    "alert.resolved": "it is well again",
    "other": "none of these; rules match it by its type",
}


def written(page: str, mark: str, made: str, update: bool) -> None:
    """Holds the part of a page after this mark against what the code says, or writes it."""
    file = ROOT / page
    before, begin, rest = file.read_text("utf-8").partition(f"<!-- {mark} -->\n")
    inside, end, after = rest.partition("<!-- end -->")
    assert begin, f"{page} has no part {mark}"
    if update:
        file.write_text(before + begin + made + end + after, "utf-8")
    else:
        assert inside == made, f"{page} is not what the code says: run `make golden`"


def updating(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


OTHER_VERBS = {
    "rollout.advanced": "advance, advanced",
    "safety.rollback": "rollback",
    "alert.resolved": "resolve, resolved, recovered, cleared",
}


# Events.


def test_the_fields_of_an_event_are_on_the_page(request: pytest.FixtureRequest) -> None:
    assert set(FIELD_SAYS) == set(FIELDS)
    rows = "".join(f"| `{name}` | {FIELD_SAYS[name]} | {EXPECTED[name]} |\n" for name in FIELDS)
    written("docs/events.md", "fields", f"| field | | what is taken |\n|---|---|---|\n{rows}", updating(request))


def verbs_of(kind: str) -> list[str]:
    family = kind.partition(".")[0]
    kinds = {"run": RUN_KINDS, "stage": STAGE_KINDS}.get(family, {})
    found = [verb for verb, its in kinds.items() if its == kind and verb in VERBS]
    return [word for verb in found for word in VERBS[verb].split()]


def test_the_kinds_are_on_the_page(request: pytest.FixtureRequest) -> None:
    assert set(KIND_SAYS) == set(KINDS)
    rows = ""
    for kind in KINDS:
        words = verbs_of(kind)
        assert all(kind_of(f"{kind.partition('.')[0]}.{word}") == kind for word in words)
        verbs = ", ".join(words) or OTHER_VERBS.get(kind, "")
        rows += f"| `{kind}` | {KIND_SAYS[kind]} | {SEVERITY_OF.get(kind, 'info')} | {verbs} |\n"
    head = "| kind | | severity | verbs that become it |\n|---|---|---|---|\n"
    written("docs/events.md", "kinds", head + rows, updating(request))


def own_types() -> set[str]:
    """The types of the events that Tocsin makes, as they stand in the sources."""
    found = {STILL_FAILING}
    for file in (*(SOURCE / "rules").glob("*.py"), *(SOURCE / "stages").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "of_run" and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
            for keyword in node.keywords if node.func.id in ("Finding", "Draft") else ():
                if keyword.arg == "type" and isinstance(keyword.value, ast.Constant):
                    found.add(str(keyword.value.value))
    return found


def test_the_events_of_tocsin_are_on_the_page() -> None:
    part = (ROOT / "docs/events.md").read_text("utf-8").partition("<!-- own -->\n")[2].partition("<!-- end -->")[0]
    told = dict(re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|", part, re.MULTILINE))
    assert set(told) == own_types() | {"endpoint.failing", "endpoint.disabled"}
    assert set(told.values()) <= set(KINDS)


# Metrics.


@pytest.mark.anyio
async def test_the_metrics_are_on_the_page(tocsin: Running, request: pytest.FixtureRequest) -> None:
    if tocsin.dialect != "sqlite":
        return
    app: Any = tocsin.app
    stages = Stages(app, (0, 0, 0, None))
    families = list(stages.collect())
    stages.app = SimpleNamespace(buses=[SimpleNamespace(name="b", counts={"accepted": 0}, away="", lag=0)])  # type: ignore[assignment]
    families += list(stages.buses())
    rows = ""
    for family in sorted(families, key=lambda one: one.name):
        labels = ", ".join(f"`{name}`" for name in getattr(family, "_labelnames", ()))
        name = family.name + ("_total" if family.type == "counter" else "")
        rows += f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n"
    head = "| metric | type | labels | what it is |\n|---|---|---|---|\n"
    written("docs/metrics.md", "metrics", head + rows, updating(request))


# The decision trace.


def test_the_numbers_and_verdicts_of_the_trace_are_on_the_page() -> None:
    page = (ROOT / "docs/decision-trace.md").read_text("utf-8")
    part = page.partition("<!-- verdicts -->")[2].partition("<!-- end -->")[0]
    source = (SOURCE / "rules/plan.py").read_text("utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))
    assert told == {word for word in ("matched", "not_matched", "suppressed", "covered") if f'"{word}"' in source}
    assert f"{MAX_TRACED} rules are written" in page
    assert f"{MOST_OTHERS} at most" in page


# A how-to for each.


def test_every_provider_has_its_section() -> None:
    page = (ROOT / "docs/providers.md").read_text("utf-8")
    for kind, provider in PROVIDERS.items():
        assert f"<!-- settings: {kind} -->" in page, f"docs/providers.md has nothing of {provider.label}"
    assert set(re.findall(r"<!-- settings: (\w+) -->", page)) == set(PROVIDERS)


def test_every_source_has_its_section() -> None:
    pages = "".join((ROOT / f"docs/{name}.md").read_text("utf-8") for name in ("sources", "ping"))
    headings = re.sub(r"[^a-z\n]", "", "\n".join(re.findall(r"^#+ (.+)$", pages, re.MULTILINE)).lower())
    for kind in SOURCES:
        named = kind.replace("_", "") in headings or f"/{kind}/" in pages
        assert named, f"no section says how events come from {kind}"


def test_every_task_of_a_flow_is_explained() -> None:
    page = (ROOT / "docs/flows.md").read_text("utf-8").lower()
    for kind in {*HANDLERS, *FLOWABLE}:
        names = {last for last, known in TASKS.items() for _, its in known if its == kind} | {kind.rpartition(".")[2]}
        assert any(re.search(rf"\b{re.escape(name)}\b", page) for name in names), f"docs/flows.md has nothing of {kind}"
