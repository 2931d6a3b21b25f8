"""Endpoints that open and close alarms: what opens one is sent, and what closes those that are open; no more."""

from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.provider_kit.text import shared_key
from tocsin.rules.incident import incident, of
from tocsin.rules.plan import Channel, Decision, Plan, Planned

AlarmKey = tuple[str, str, str]
"""Tenant, endpoint, the trouble's opaque name."""


class Alarms(Struct):
    """`known`: those that are open, with the rules that opened them. `opened` and `closed`: what there is to write."""

    known: dict[AlarmKey, str] = field(default_factory=dict)
    opened: dict[AlarmKey, str] = field(default_factory=dict)
    closed: set[AlarmKey] = field(default_factory=set)


def with_alarms(
    planned: Plan, event: Event, channels: Mapping[str, Channel], alarms: Alarms, new_id: Callable[[], str]
) -> Plan:
    """The plan as these endpoints want it; `alarms` is changed in place. A recovery goes wherever its trouble was told,
    whether a rule leads there now or not."""
    sends = []
    for send in planned.sends:
        channel = send.channel
        if channel.alarms and not channel.suppressed:
            meaning, name = of(event, send.words)
            key = alarm_key(event.tenant_id, name) if meaning else ""
            alarm = (event.tenant_id, channel.endpoint_id, key)
            if send.suppressed and send.words.alarm and meaning == "closes" and alarm in alarms.known:
                send = at_once(send)
            if send.suppressed:
                pass
            elif meaning == "opens":
                alarms.opened[alarm] = alarms.known[alarm] = send.rule.id
                alarms.closed.discard(alarm)
            elif meaning != "closes" or alarm not in alarms.known:
                said = "there is no alarm to close" if meaning else "alarms are opened and closed here, no more"
                send = replace(send, suppressed=said)
            elif send.words.alarm:  # a rule's own finding ends where it was told, and nowhere else
                alarms.known.pop(alarm)
                alarms.opened.pop(alarm, None)
                alarms.closed.add(alarm)
        sends.append(send)
    meaning, name = incident(event)
    key = alarm_key(event.tenant_id, name) if meaning else ""
    if meaning != "closes":
        return replace(planned, sends=tuple(sends))
    reached = {send.channel.endpoint_id: number for number, send in enumerate(sends)}
    decisions = list(planned.decisions)
    for alarm in [alarm for alarm in alarms.known if alarm[0] == event.tenant_id and alarm[2] == key]:
        endpoint_id, rule_id = alarm[1], alarms.known[alarm]
        found = channels.get(endpoint_id)
        number = reached.get(endpoint_id)
        busy = number is not None and not sends[number].suppressed and sends[number].words.alarm
        if found is None or found.suppressed or busy:
            continue  # it cannot be closed there now, or the event tells of a rule's alarm there: a later success will
        del alarms.known[alarm]
        alarms.opened.pop(alarm, None)
        alarms.closed.add(alarm)
        if number is not None:
            send = at_once(sends[number])
            sends[number] = replace(send, words=replace(send.words, title="", note="", kind="", alarm=""))
        else:
            rule = Rule(id=rule_id, tenant_id=event.tenant_id, name="closes the alarm")
            sends.append(Planned(found, rule, new_id()))
            decisions.append(Decision(rule_id, rule.name, "matched", "it opened an alarm there", (endpoint_id,)))
    return Plan(tuple(sends), tuple(decisions), planned.omitted)


def at_once(send: Planned) -> Planned:
    """What keeps messages back does not keep an alarm ringing."""
    return replace(send, suppressed="", due_ms=0, folded_into="")


def alarm_key(tenant_id: str, name: str) -> str:
    return shared_key("incident", tenant_id, name)
