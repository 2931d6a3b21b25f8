"""The words: which emoji, which tone and which verb belong to a kind, and how families of types put it."""

from functools import lru_cache

from msgspec import Struct

from tocsin.model.message import Tone
from tocsin.provider_kit.text import line


class Words(Struct, frozen=True):
    """`said` follows the name: "train-ranker *failed*". Research, providers.md section 5: a state has an emoji and a
    word, never a colour alone."""

    emoji: str
    tone: Tone
    said: str


KINDS: dict[str, Words] = {
    "run.started": Words("⏳", "running", "started"),
    "run.progress": Words("⏳", "running", "is running"),
    "run.paused": Words("⏸️", "neutral", "was paused"),
    "run.succeeded": Words("✅", "good", "succeeded"),
    "run.failed": Words("❌", "bad", "failed"),
    "run.warning": Words("⚠️", "warning", "ended with warnings"),
    "run.cancelled": Words("🚫", "neutral", "was cancelled"),
    "run.exceeded": Words("⚠️", "warning", "is taking too long"),
    "run.missed": Words("⏰", "bad", "did not start on time"),
    "stage.started": Words("⏳", "running", "started"),
    "stage.progress": Words("⏳", "running", "is running"),
    "stage.succeeded": Words("✅", "good", "succeeded"),
    "stage.failed": Words("❌", "bad", "failed"),
    "stage.skipped": Words("⏭️", "neutral", "was skipped"),
    "rollout.advanced": Words("🚀", "good", "rolled out further"),
    "safety.rollback": Words("🛑", "rollback", "was rolled back"),
    "alert": Words("🔔", "neutral", "raised an alert"),
    "alert.resolved": Words("✅", "good", "is back to normal"),
    "other": Words("ℹ️", "neutral", ""),
}

BY_SEVERITY: dict[str, Words] = {
    "warning": Words("⚠️", "warning", "raised a warning"),
    "error": Words("🚨", "bad", "raised an alert"),
    "critical": Words("🚨", "bad", "raised a critical alert"),
}
"""An alert and anything unknown are as loud as they say they are."""

FAMILIES: dict[str, tuple[str, str]] = {
    "training": ("Training", "Training of"),
    "hpo": ("HPO", "HPO study"),
    "experiment": ("Experiment", "Experiment"),
}
"""Types that are titled `Training Complete - ResNet34_Test`, as dashboards do: the head, and the sentence's."""

CHEERS = {"training.complete": "🎉", "hpo.campaign_complete": "🎉", "hpo.trial_complete": "🧪"}

SAID_IN_FAMILY = {
    "complete": "completed",
    "completed": "completed",
    "stopped": "was stopped",
    "paused": "was paused",
    "resumed": "resumed",
}


def words(kind: str, severity: str) -> Words:
    """The words of a kind; an alert or an unknown kind takes them from its severity."""
    if kind == "alert" or kind not in KINDS or kind == "other":
        return BY_SEVERITY.get(severity) or KINDS.get(kind) or KINDS["other"]
    return KINDS[kind]


@lru_cache(maxsize=4096)
def heading(event_type: str) -> str:
    """`training.complete` → `Training Complete`; `hpo.campaign_failed` → `HPO Campaign Failed`."""
    family, _, rest = event_type.partition(".")
    head = FAMILIES[family][0] if family in FAMILIES else family.replace("_", " ").title()
    return line(f"{head} {rest.replace('.', ' ').replace('_', ' ').title()}")


@lru_cache(maxsize=4096)
def spoken(event_type: str) -> str:
    """An unknown type as words: `deploy.smoke_test_done` → `deploy smoke test done`."""
    return line(event_type.replace(".", " ").replace("_", " ").replace("-", " ")) or "event"
