"""Flows: what is in their files, and starting one."""

import json
from typing import Any

from starlette.responses import Response

from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.visit import Page, Visit

WIDGETS = {
    "DATE": "date", "DATETIME": "datetime-local", "TIME": "time", "INT": "number", "SECRET": "password",
    "EMAIL": "email", "URI": "url",
}  # fmt: skip
"""What a browser asks for each type of input with; the others are text."""

CHOICES = ("SELECT", "ENUM")
SWITCHES = ("BOOLEAN", "BOOL")
LONG = ("JSON", "ARRAY")
RUNS = 20


async def show_list(visit: Visit) -> Response:
    flows = (await visit.api.get("/v1/flows"))["items"]
    return await visit.page("pages/flows.html", flows=flows, folder=visit.app.settings.flows)


async def show(visit: Visit) -> Response:
    return await flow_page(visit)


async def flow_page(visit: Visit, refused: Refused | None = None) -> Response:
    flow = await visit.api.get(f"/v1/flows/{visit.path('namespace')}/{visit.path('id')}")
    runs = await visit.api.get("/v1/runs", pipeline=f"{flow['namespace']}.{flow['id']}", limit=RUNS)
    return await visit.page(
        "pages/flow.html",
        refused.status if refused else 200,
        flow=flow,
        runs=runs["items"],
        fields=[field_of(one, visit.form) for one in flow["inputs"]],
        refused=refused,
        wrong=refused.field.removeprefix("inputs.") if refused else "",
    )


def field_of(one: dict[str, Any], given: Any) -> dict[str, Any]:
    """An input as a form asks for it. A default that is an expression is worked out when the flow starts."""
    default = one["default"]
    is_worked_out = isinstance(default, str) and ("{{" in default or "{%" in default)
    text = "" if default is None or is_worked_out else default if isinstance(default, str) else json.dumps(default)
    kind = "text"
    if one["type"] in (*CHOICES, *SWITCHES):
        kind = "choice"
    elif one["type"] == "MULTISELECT":
        kind = "several"
    elif one["type"] in LONG:
        kind = "long"
    values = ("true", "false") if one["type"] in SWITCHES else one["values"]
    return one | {
        "kind": kind,
        "widget": WIDGETS.get(one["type"], "text"),
        "values": values,
        "value": given.get(f"input.{one['id']}", text),
        "is_needed": one["required"] and default is None,
        "hint": f"otherwise {default}" if is_worked_out else "",
    }


async def start(visit: Visit) -> Response:
    namespace, id_ = visit.path("namespace"), visit.path("id")
    flow = await visit.api.get(f"/v1/flows/{namespace}/{id_}")
    inputs: dict[str, Any] = {}
    for one in flow["inputs"]:
        name = f"input.{one['id']}"
        if one["type"] == "MULTISELECT":
            if name in visit.many:
                inputs[one["id"]] = visit.many[name]
        elif visit.form.get(name, "") != "":
            inputs[one["id"]] = visit.form[name]
    try:
        made = await visit.api.post(f"/v1/flows/{namespace}/{id_}/executions", {"inputs": inputs})
    except Refused as refused:
        return await flow_page(visit, refused)
    return visit.see(f"/flows/{namespace}/{id_}", f"Started: its run is {made['run_id']}.")


PAGES: tuple[Page, ...] = (
    Page("GET", "/flows", show_list),
    Page("GET", "/flows/{namespace}/{id}", show),
    Page("POST", "/flows/{namespace}/{id}", start, "developer"),
)
