"""Types to kinds: whatever a source calls it, what happened has one normal form.

A type is read as words: `hpo.campaign_started`, `HPO.campaign-started` and `hpo_campaign_started` are the same three.
The first words are nouns and say whether it is a run or a stage of one; what is left is the verb.
"""

import re
from functools import lru_cache

REMEMBERED = 4096
"""Types whose kind is kept. A source uses a few dozen; a sender that invents them must not fill the memory."""

RUN_NOUNS = frozenset(
    [
        "run",
        "runs",
        "pipeline",
        "workflow",
        "execution",
        "job",
        "flow",
        "training",
        "hpo",
        "campaign",
        "experiment",
        "rollout",
        "dag",
        "build",
        "pipelinerun",
        "workflowrun",
        "jobrun",
        "flowrun",
        "dagrun",
    ]
)
STAGE_NOUNS = frozenset(["stage", "task", "step", "trial", "node", "taskrun"])

VERBS = {
    "started": "start started starting begin began begun running",
    "progress": "progress update updated heartbeat resume resumed retry retrying",
    "paused": "pause paused suspended waiting",
    "succeeded": "complete completed success successful succeed succeeded finish finished done passed pass ok",
    "failed": "fail failed failure error errored crash crashed timed_out timeout timedout",
    "warning": "warning warn warned",
    "cancelled": "cancel cancelled canceled abort aborted kill killed stop stopped terminated",
    "skipped": "skip skipped upstream_failed pruned",
    "exceeded": "exceeded exceeded_duration duration_exceeded exceed overdue stalled",
    "missed": "missed miss late",
}
VERB_OF = {word: verb for verb, words in VERBS.items() for word in words.split()}

RUN_KINDS = {verb: f"run.{verb}" for verb in VERBS} | {
    "skipped": "run.cancelled"  # a run has no "skipped": it ended without doing its work
}
STAGE_KINDS = {
    "started": "stage.started",
    "progress": "stage.progress",
    "paused": "stage.progress",  # still open
    "warning": "stage.progress",  # a word on the way, not an end
    "succeeded": "stage.succeeded",
    "failed": "stage.failed",
    "cancelled": "stage.skipped",  # it did not do its work, and that is no failure
    "skipped": "stage.skipped",
}
EXACT = {
    ("alert",): "alert",
    ("rollout", "rollback"): "safety.rollback",
    ("rollout", "rolled", "back"): "safety.rollback",
    ("rollout", "advance"): "rollout.advanced",
    ("rollout", "advanced"): "rollout.advanced",
    ("rollout", "stage", "advance"): "rollout.advanced",
    ("rollout", "stage", "advanced"): "rollout.advanced",
}
RESOLVED = frozenset(["resolve", "resolved", "recovered", "cleared"])

_BETWEEN_WORDS = re.compile(r"[._:/-]+")


@lru_cache(maxsize=REMEMBERED)
def kind_of(type: str) -> str:  # noqa: A002  `type` is the word of the contract
    """The normal form of a type, one of `model.event.KINDS`; "other" where none fits.

    >>> kind_of("hpo.trial_complete"), kind_of("Pipeline-Run.FAILED"), kind_of("invoice.paid")
    ('stage.succeeded', 'run.failed', 'other')
    """
    words = tuple(word for word in _BETWEEN_WORDS.split(type.lower()) if word)
    if words in EXACT:
        return EXACT[words]
    if words[:2] == ("safety", "rollback"):
        return "safety.rollback"
    if words[:1] == ("alert",):
        return "alert.resolved" if words[1] in RESOLVED else "alert"
    nouns = 0
    while nouns < len(words) and (words[nouns] in RUN_NOUNS or words[nouns] in STAGE_NOUNS):
        nouns += 1
    verb = VERB_OF.get("_".join(words[nouns:]), "")
    if not nouns or not verb:
        return "other"
    of_stage = any(word in STAGE_NOUNS for word in words[:nouns])
    return (STAGE_KINDS if of_stage else RUN_KINDS).get(verb, "other")
