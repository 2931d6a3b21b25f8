"""`tocsin tenant limits`: what a tenant may do at the most, shown and set where the store is."""

from tests.cli.conftest import Invoke


def test_limits_are_shown_set_and_taken_back(invoke: Invoke) -> None:
    # S4-13
    def shown(*changes: str) -> dict[str, tuple[int, bool]]:
        found = invoke("tenant", "limits", "default", *changes, "-o", "json").json
        return {one["limit"]: (one["value"], one["standard"]) for one in found}

    assert shown()["rules"] == (50_000, True)
    assert shown("rules=200", "events_per_s=0")["rules"] == (200, False)
    assert shown("secrets=3")["rules"] == (200, False)
    found = shown("rules=")
    assert (found["rules"], found["secrets"]) == ((50_000, True), (3, False))


def test_limits_that_cannot_be(invoke: Invoke) -> None:
    for change, said in (("rulez=1", "rulez"), ("rules=many", "NAME=NUMBER"), ("body_bytes=5", "body_bytes")):
        done = invoke("tenant", "limits", "default", change)
        assert done.code == 2
        assert said in done.err
    assert invoke("tenant", "limits", "nobody").code == 2
