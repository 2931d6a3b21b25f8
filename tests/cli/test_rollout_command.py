"""`tocsin rollout`: switching features where the store is."""

from tests.cli.conftest import Invoke


def test_a_feature_is_given_to_some_and_to_all(invoke: Invoke) -> None:
    # S4-19
    assert invoke("rollout", "set", "slack", "tenants:default").code == 0
    assert invoke("rollout", "set", "alerts", "off").code == 0
    shown = {one["feature"]: one for one in invoke("rollout", "show", "-o", "json").json}
    assert (shown["slack"]["state"], shown["slack"]["tenants"]) == ("tenants", ["default"])
    assert (shown["alerts"]["state"], shown["alerts"]["updated_by"]) == ("off", "command line")
    assert (shown["webhook"]["state"], shown["webhook"]["updated_at"]) == ("on", None)
    assert invoke("rollout", "set", "alerts", "on").code == 0
    assert "alerts\ton\t" in invoke("rollout", "show", "-o", "tsv").out


def test_what_cannot_be_set(invoke: Invoke) -> None:
    for words, said in (
        (("slak", "on"), "features.slak"),
        (("slack", "maybe"), "STATE: expected off, on, or tenants:"),
        (("slack", "tenants:nobody"), "features.slack.tenants[0]: expected the id of a tenant"),
    ):
        done = invoke("rollout", "set", *words)
        assert done.code == 2
        assert said in done.err
