"""The OpenAPI document, made from the table of routes, the types they name and what their docstrings say."""

import inspect
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from tocsin import __version__
from tocsin.web.problems import PROBLEM_TYPE, Problem
from tocsin.web.routes import Param, Route

REF = "#/components/schemas/{name}"
SHOWN_IN = re.compile(r"(?<=[.:]) (?=[A-Z`])")

REFUSALS = {
    400: "The input does not fit: `errors` names the field, what was found and what was expected",
    401: "No token, or one that is unknown, expired or revoked",
    403: "The token's role or scope does not allow it",
    404: "There is no such thing in this tenant",
    409: "It contradicts what is stored",
    412: "It was changed since it was read: `current` is how it is now",
    413: "The body is too large",
    415: "The body is of a type that is not taken here",
    429: "A limit is reached",
    500: "A fault of Tocsin's; its log says more",
    503: "Not now: the store does not answer, or too much waits",
}
AFTER = {"Retry-After": {"description": "Seconds until it is worth trying again", "schema": {"type": "integer"}}}
ASK = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
TAG = {"ETag": {"description": "What this answer is known by", "schema": {"type": "string"}}}
REFUSAL_HEADERS = {401: ASK, 412: TAG, 429: AFTER, 503: AFTER}
IF_MATCH = "Change it only while it has this ETag; else 412"
IF_NONE_MATCH = "304 without a body where it has this ETag still"
IDEMPOTENCY = "Sent again with the same key within 24 hours, the same request gets the same answer"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    routes = list(routes)
    shapes = [shape for route in routes for shape in (route.body, *route.answers) if shape is not None]
    schemas, components = msgspec.json.schema_components([*shapes, Problem], ref_template=REF)
    schema_of = dict(zip(map(repr, [*shapes, Problem]), schemas, strict=True))
    for schema in components.values():
        describe(schema)
    paths: dict[str, Any] = {}
    for route in routes:
        found = paths.setdefault(route.path, {})[route.method.lower()] = operation(route, schema_of, components)
        if links := links_of(route, routes):
            found["responses"][str(route.status)]["links"] = links
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
            "responses": {
                f"Refused{status}": {
                    "description": words,
                    "content": {PROBLEM_TYPE: {"schema": schema_of[repr(Problem)]}},
                    "headers": REFUSAL_HEADERS.get(status, {}),
                }
                for status, words in REFUSALS.items()
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token that `tocsin token create` or POST /v1/tokens made. An operation's list "
                    "says the least role that it takes.",
                }
            },
        },
    }


def describe(schema: dict[str, Any]) -> None:
    """Each property with the sentence of its type's docstring that begins with it, or else is the first to name it.
    Defaults that are objects of a type of their own go: generators of clients take them for a mistake."""
    sentences = SHOWN_IN.split(" ".join(schema.get("description", "").split()))
    for name, found in schema.get("properties", {}).items():
        if isinstance(found.get("default"), dict) and ("$ref" in found or "anyOf" in found):
            del found["default"]
        about = [one for one in sentences if f"`{name}`" in one]
        first = next((one for one in about if one.startswith(f"`{name}`")), about[0] if about else "")
        if first and "description" not in found:
            found["description"] = first


def operation(route: Route, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status in (route.status, *route.also):
        answer: dict[str, Any] = {"description": route.summary if status == route.status else HTTPStatus(status).phrase}
        if status != 204:
            schema = answer_schema(route, schema_of, components)
            answer["content"] = {media: {"schema": schema} for media in (route.media, *route.other_media)}
        if route.method == "GET" and route.role and route.media == "application/json":
            answer["headers"] = TAG
        answers[str(status)] = answer
    if route.method == "GET" and route.role and route.media == "application/json":
        answers["304"] = {"description": "It has the ETag of If-None-Match still", "headers": TAG}
    refused = {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in refusals(route)}
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": operation_id(route),
        "tags": [resource_of(route)],
        "responses": refused | answers,
        "parameters": parameters(route),
    }
    if said := inspect.getdoc(route.handler):
        found["description"] = said
    if route.body is not None:
        content = {"schema": schema_of[repr(route.body)]}
        if route.example is not None:
            content["example"] = route.example
        found["requestBody"] = {"required": not route.body_optional, "content": {"application/json": content}}
    if route.role:
        found["security"] = [{"token": [route.role]}]
        found["x-role"] = route.role
        found["x-scope"] = route.needs
    return found


def links_of(route: Route, routes: list[Route]) -> dict[str, Any]:
    """From what was made to all that can be done with it."""
    if not route.makes:
        return {}
    of_one = [one for one in routes if re.fullmatch(re.escape(route.path) + r"/{(\w+)}(/[\w-]+)?", one.path)]
    found = {}
    for one in of_one:
        (name,) = re.findall(r"{(\w+)}", one.path)
        field = {"id": "id", "user": "user_id", "tenant": "id"}.get(name, name)
        found[operation_id(one)] = {
            "operationId": operation_id(one),
            "parameters": {f"path.{name}": f"$response.body#/{field}"},
        }
    return found


def refusals(route: Route) -> list[int]:
    """Every status that it may refuse with."""
    found = {400, 500, 503, *route.problems}
    if route.role:
        found |= {401, 403, 429}
    if "{" in route.path:
        found.add(404)
    if route.body is not None:
        found |= {413, 415}
    if route.if_match:
        found.add(412)
    if route.makes:
        found.add(409)
    return sorted(found)


def answer_schema(route: Route, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    if not route.answers:
        return {} if route.media == "application/json" else {"type": "string"}
    known = [schema_of[repr(shape)] for shape in route.answers]
    schema: dict[str, Any] = {"anyOf": known} if len(known) > 1 else known[0]
    if not (route.listed or "cursor" in route.query) or "next" in getattr(route.answer, "__struct_fields__", ()):
        return schema
    name = f"{route.answer.__name__.removesuffix('Out')}Page"
    components[name] = {
        "title": name,
        "type": "object",
        "description": "`next` is the cursor of the page after, null on the last.",
        "required": ["items", "next"],
        "properties": {"items": {"type": "array", "items": schema}, "next": {"type": ["string", "null"]}},
    }
    return {"$ref": REF.format(name=name)}


def parameters(route: Route) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    for name, what in route.query.items():
        param = what if isinstance(what, Param) else Param(what)
        schema = msgspec.json.schema(param.shape)
        found.append({"name": name, "in": "query", "description": param.about, "schema": schema})
    found += [header(name, about) for name, about in route.headers.items()]
    if route.if_match:
        found.append(header("If-Match", IF_MATCH))
    if route.method == "GET" and route.role and route.media == "application/json":
        found.append(header("If-None-Match", IF_NONE_MATCH))
    if route.makes:
        key = {"type": "string", "maxLength": 255, "pattern": "^[!-~]*$"}
        found.append(header("Idempotency-Key", IDEMPOTENCY) | {"schema": key})
    return found


def header(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": about, "schema": {"type": "string"}}


# Names.

VERBS = {"GET": "get", "POST": "create", "PATCH": "update", "PUT": "put", "DELETE": "delete"}


def segments(route: Route) -> list[str]:
    return [part for part in route.path.strip("/").split("/") if part not in ("api", "v1")]


def resource_of(route: Route) -> str:
    first = segments(route)[0]
    return "service" if route.path.count("/") == 1 else first


def operation_id(route: Route) -> str:
    """`list_webhooks`, `get_webhook`, `test_webhook`, `list_run_whys` …: what a client's function would be called."""
    if route.name:
        return route.name
    parts = segments(route)
    words = [part for part in parts if not part.startswith("{")]
    thing, last = "_".join(words[:-1]), words[-1]
    on_one = len(parts) > 1 and parts[-1].startswith("{")
    if on_one:
        return snake(f"{VERBS[route.method]}_{singular('_'.join(words))}")
    if route.method == "GET":
        lists = route.listed or "cursor" in route.query
        what = "_".join([singular(thing), last]) if thing else last
        return snake(f"{'list' if lists else 'get'}_{what}")
    if route.method == "POST" and len(parts) > 1:
        of_one = any(part.startswith("{") for part in parts)
        return snake(f"{last}_{singular(thing) if of_one else thing}")
    what = "_".join([singular(thing), last]) if thing else last
    return snake(f"{VERBS[route.method]}_{singular(what) if route.method == 'POST' else what}")


def singular(words: str) -> str:
    if words.endswith("ies"):
        return words[:-3] + "y"
    return words.removesuffix("s")


def snake(words: str) -> str:
    return re.sub(r"\W+", "_", words).strip("_")
