"""MLflow's model registry webhooks: https://mlflow.org/docs/latest/ml/webhooks/

They tell of models, never of runs; a version knows the run that made it.
"""

import base64
import binascii
import hashlib
import hmac

from tocsin.sources.fitting import at, draft, words
from tocsin.sources.incoming import Incoming, Source, Taken, fits_hmac, id_of, json_object


def signed(incoming: Incoming, secret: str) -> bool:
    """`v1,` and the base64 HMAC over `delivery id.timestamp.body`; older ones sent `sha256=` and hex over the body."""
    headers = incoming.headers
    given = headers.get("x-mlflow-signature", "")
    if given.startswith("sha256="):
        return fits_hmac(incoming.body, secret, given, "sha256=")
    before = f"{headers.get('x-mlflow-delivery-id', '')}.{headers.get('x-mlflow-timestamp', '')}.".encode()
    expected = hmac.new(secret.encode(), before + incoming.body, hashlib.sha256).digest()
    try:
        found = base64.b64decode(given.partition(",")[2].encode("utf-8", "replace"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return given.startswith("v1,") and hmac.compare_digest(expected, found)


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    entity, action, data = words(whole, "entity"), words(whole, "action"), whole.get("data")
    if not entity or not action:
        return Taken(ignored="it names no entity and no action")
    model, version = words(data, "name") or words(data, "model_name"), words(data, "version")
    what = f"{model} {version}".strip()
    more = words(data, "alias") or words(data, "key")
    kind = entity.replace("_", " ")
    title = f"{kind[:1].upper()}{kind[1:]} {action}: {what}" + (f" ({more})" if more else "")
    native = incoming.headers.get("x-mlflow-delivery-id", "")
    found = draft(
        source="mlflow",
        type=f"model.{entity}.{action}",
        id=native or id_of(entity, action, whole.get("timestamp"), what, more),
        pipeline=model,
        time=whole.get("timestamp"),
        severity="warning" if action == "exceeded" else "",
        title=title,
        message=words(data, "description"),
        labels={"model": model, "version": version, "workspace": words(whole, "workspace")},
        data={"run_id": words(data, "run_id"), "origin": words(data, "source"), "alias": at(data, "alias"),
              "tag": words(data, "key"), "value": words(data, "value"), "tags": at(data, "tags")},
    )  # fmt: skip
    return Taken((found,))


SOURCE = Source(kind="mlflow", label="MLflow", read=read, signed=signed)
