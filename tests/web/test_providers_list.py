"""`GET /v1/providers`: what a form needs to know of each kind of endpoint."""

import jsonschema
import pytest

from tests.harness import Running, Start
from tests.providers.examples import EXAMPLES
from tocsin.providers import PROVIDERS

pytestmark = pytest.mark.anyio


async def test_every_provider_is_there_with_its_form(tocsin: Running) -> None:
    # S1-01, S1-16, S1-18
    viewer = await tocsin.as_("viewer")
    found = (await viewer.get("/v1/providers")).ok()
    assert found["next"] is None
    assert [item["provider_type"] for item in found["items"]] == list(PROVIDERS)
    for item in found["items"]:
        provider = PROVIDERS[item["provider_type"]]
        assert set(item) == {
            *("provider_type", "label", "about", "takes_address", "settings", "limits", "switched_off"),
        }
        assert item["label"] == provider.label
        assert item["takes_address"] == bool(EXAMPLES[provider.kind].address)
        schema = item["settings"]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert set(schema["properties"]) == set(provider.settings_type.__struct_fields__)
        assert set(item["limits"]) == {"rate_per_s", "max_body_bytes", "timeout_s"}
        assert item["limits"]["max_body_bytes"] == provider.max_body_bytes


async def test_secret_settings_are_only_ever_written(tocsin: Running) -> None:
    # S4-12
    items = {item["provider_type"]: item for item in (await tocsin.client.get("/v1/providers")).ok()["items"]}
    settings = items["slack_bot"]["settings"]["properties"]
    assert settings["bot_token"]["writeOnly"] is True
    assert "writeOnly" not in settings["channel"]


async def test_what_the_operator_set_is_told(start: Start) -> None:
    # S1-03, S1-04, S1-05
    tocsin = await start(
        SLACK_RATE_LIMIT_PER_WEBHOOK="0.5", SLACK_TIMEOUT_SECONDS="7", NOTIFICATIONS_TEAMS_ENABLED="false"
    )
    items = {item["provider_type"]: item for item in (await tocsin.client.get("/v1/providers")).ok()["items"]}
    assert (items["slack"]["limits"]["rate_per_s"], items["slack"]["limits"]["timeout_s"]) == (0.5, 7)
    assert items["webhook"]["limits"]["rate_per_s"] is None
    assert items["slack"]["switched_off"] == ""
    assert items["teams"]["switched_off"] == "NOTIFICATIONS_TEAMS_ENABLED is off"


async def test_what_is_asked_beside_it_is_refused(tocsin: Running) -> None:
    (await tocsin.client.get("/v1/providers?label=Slack")).problem(400, "label")
    (await tocsin.client.with_token("").get("/v1/providers")).problem(401)
