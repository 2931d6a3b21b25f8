"""What somebody writes with a client that openapi-python-client has made of /openapi.json. Run by
test_generated_client.py, with the generated package beside it. Prints the delivery."""

import json
import os
import sys
import time

from tocsin_api import AuthenticatedClient
from tocsin_api.api.alert_rules import create_alert_rule
from tocsin_api.api.deliveries import get_delivery, list_deliveries
from tocsin_api.api.events import send_events
from tocsin_api.api.webhooks import create_webhook, delete_webhook, get_webhook, list_webhooks, update_webhook
from tocsin_api.models import NativeBody, Problem, RuleIn, WebhookIn, WebhookPatch
from tocsin_api.models.delivery_with_attempts import DeliveryWithAttempts
from tocsin_api.models.webhook import Webhook

URL, TO = sys.argv[1:]
client = AuthenticatedClient(base_url=URL, token=os.environ["TOCSIN_TOKEN"], raise_on_unexpected_status=True)

wrong = create_webhook.sync(client=client, body=WebhookIn(provider_type="webhook", name="", webhook_url=TO))
assert isinstance(wrong, Problem)
assert wrong.errors
assert wrong.errors[0]["field"] == "name"

new = WebhookIn(provider_type="webhook", name="orders", webhook_url=TO)
webhook = create_webhook.sync(client=client, body=new, idempotency_key="once")
again = create_webhook.sync(client=client, body=new, idempotency_key="once")
assert isinstance(webhook, Webhook)
assert isinstance(again, Webhook)
assert webhook.id == again.id
assert str(webhook.secret).startswith("whsec_")

create_alert_rule.sync(
    client=client, body=RuleIn(name="failures", event_types=["run.failed"], webhook_endpoint_ids=[webhook.id])
)
seen = get_webhook.sync_detailed(webhook.id, client=client)
tag = seen.headers["etag"]
assert get_webhook.sync_detailed(webhook.id, client=client, if_none_match=tag).status_code == 304
changed = update_webhook.sync(webhook.id, client=client, body=WebhookPatch(description="new"), if_match=tag)
assert isinstance(changed, Webhook)
late = update_webhook.sync_detailed(webhook.id, client=client, body=WebhookPatch(description="newer"), if_match=tag)
assert late.status_code == 412

send_events.sync(client=client, body=NativeBody(type_="run.failed", pipeline="etl/orders", run_id="1"))
until = time.monotonic() + 20
while True:
    page = list_deliveries.sync(client=client, webhook_id=webhook.id, limit=1)
    assert page is not None
    assert not isinstance(page, Problem)
    if page.items and page.items[0].status == "delivered":
        break
    assert time.monotonic() < until, page
    time.sleep(0.05)
delivery = get_delivery.sync(page.items[0].id, client=client)
assert isinstance(delivery, DeliveryWithAttempts)
delete_webhook.sync_detailed(webhook.id, client=client)
left = list_webhooks.sync(client=client)
assert left is not None
assert not isinstance(left, Problem)
assert left.items == []
print(json.dumps(delivery.to_dict()))
