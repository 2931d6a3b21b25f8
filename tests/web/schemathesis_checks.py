"""A check of our own for schemathesis, which reads this file by SCHEMATHESIS_HOOKS.

`positive_data_acceptance` wants all that the schema allows to be accepted. A schema cannot say what a condition in CEL
is, where an address may lead, that a webhook has to exist or that an ETag is of today. What it can be held to is
this: who is refused is told which field, what was found and what was expected.
"""

import json
from typing import Any

import schemathesis

WITHOUT_FIELDS = {401, 403, 404, 409, 412, 413, 415, 429, 503}


@schemathesis.check
def refusals_say_why(ctx: Any, response: Any, case: Any) -> None:
    if response.status_code < 400:
        return
    problem = json.loads(response.content)
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert problem["detail"]
    if response.status_code in WITHOUT_FIELDS:
        return
    if response.status_code == 405:
        assert response.headers["allow"]
        return
    (error,) = problem["errors"]
    assert error["found"]
    assert error["expected"]
