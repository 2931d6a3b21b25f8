"""The OpenAPI document, made from the table of routes and the types they name."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from tocsin import __version__
from tocsin.web.problems import PROBLEM_TYPE, Problem
from tocsin.web.routes import Route

REF = "#/components/schemas/{name}"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    routes = list(routes)
    shapes = [shape for route in routes for shape in (route.body, *route.answers) if shape is not None]
    schemas, components = msgspec.json.schema_components([*shapes, Problem], ref_template=REF)
    schema_of = dict(zip(map(repr, [*shapes, Problem]), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": __version__,
            "description": "Events in, the right messages out, nothing lost. Errors are RFC 9457 problems.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    problem = {"description": "Refused", "content": {PROBLEM_TYPE: {"schema": schema_of[repr(Problem)]}}}
    answer: dict[str, Any] = {"description": route.summary}
    if route.status != 204:
        known = [schema_of[repr(shape)] for shape in route.answers]
        schema = {"anyOf": known} if len(known) > 1 else known[0] if known else {}
        if known and "cursor" in route.query:
            schema = {
                "type": "object",
                "required": ["items", "next"],
                "properties": {"items": {"type": "array", "items": schema}, "next": {"type": ["string", "null"]}},
            }
        answer["content"] = {route.media: {"schema": schema}}
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', route.path)}",
        "responses": {str(route.status): answer, "default": problem},
        "parameters": parameters(route),
    }
    if route.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[repr(route.body)]}},
        }
    if route.role:
        found["security"] = [{"token": []}]
        found["x-role"] = route.role
    return found


def parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    in_query = [
        {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}
        for name, what in route.query.items()
    ]
    in_header = [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Sent again with the same key within 24 hours, the same request gets the same answer",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }
    ]
    return in_path + in_query + (in_header if route.makes else [])
