"""The sender's ledger: what was acknowledged, what was not, and the load that fills it at a bounded rate."""

import asyncio
import itertools
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

PATIENCE_S = 5.0
SENT_AT_ONCE = 64
TICK_S = 0.01
TYPES = ("load.one", "load.two", "load.flaky")


@dataclass
class Ledger:
    """By event id. `acked` holds the type; `unknown` got anything but a 2xx, or nothing, and may be stored or not.
    `slowest_s` is the longest that a request waited for its answer, or for none."""

    acked: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # idempotency key to the event id that was answered
    broken_promises: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    posts: int = 0
    slowest_s: float = 0.0

    def count(self, answer: str) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + 1


class Load:
    """Posts events to the one of `urls` whose turn it is, `per_s` requests a second, until stopped; in a thread.

    Of twenty requests twelve carry one event, four carry five, two carry no id but an idempotency key, two send again
    what was acknowledged before. Every other request whose fate is unknown is sent again, as it was, until it is known.
    """

    def __init__(self, urls: list[str], token: str, *, per_s: float, seed: int, prefix: str = "e") -> None:
        self.urls = itertools.cycle(urls)
        self.token = token
        self.per_s = per_s
        self.random = random.Random(seed)
        self.prefix = prefix
        self.ledger = Ledger()
        self.numbers = itertools.count()
        self.stopping = threading.Event()
        self.at_once = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Load":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.thread.is_alive():
            self.stop()

    def stop(self, *, at_once: bool = False) -> Ledger:
        """`at_once` leaves what is on its way to its unknown fate; otherwise it is waited for."""
        self.at_once = at_once
        self.stopping.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "the load did not end"
        return self.ledger

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            began, sent = loop.time(), 0
            while not self.stopping.is_set():
                while sent < (loop.time() - began) * self.per_s:
                    sent += 1
                    if len(tasks) < SENT_AT_ONCE:
                        task = asyncio.create_task(self._post(session))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                await asyncio.sleep(TICK_S)
            for task in tasks if self.at_once else ():
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def _event(self) -> dict[str, Any]:
        number = next(self.numbers)
        type_ = TYPES[2] if number % 10 == 9 else TYPES[number % 2]
        return {
            "id": f"{self.prefix}{number}",
            "type": type_,
            "pipeline": f"p{number % 7}",
            "run_id": f"r{number // 100}",
            "source": "load",
            "message": "x" * self.random.randint(0, 400),
        }

    async def _post(self, session: aiohttp.ClientSession) -> None:
        dice = self.random.random()
        if dice < 0.6:
            await self._events(session, [self._event()])
        elif dice < 0.8:
            await self._events(session, [self._event() for _ in range(5)])
        elif dice < 0.9:
            await self._keyed(session)
        elif self.ledger.acked:
            await self._again(session)

    async def _events(self, session: aiohttp.ClientSession, events: list[dict[str, Any]]) -> None:
        """With ids of our own: sent twice they are still one event each."""
        body = events[0] if len(events) == 1 else {"events": events}
        ids = {str(event["id"]): str(event["type"]) for event in events}
        insists = self.random.random() < 0.5
        answer = await self._until_known(session, body, {}, 40 if insists else 1)
        if answer is None:
            self.ledger.unknown |= ids
            return
        said = set(answer["ids"]) if "ids" in answer else {answer["id"]}
        if said != set(ids):
            self.ledger.broken_promises.append(f"sent {sorted(ids)}, answered {answer}")
        self.ledger.acked |= ids
        for id_ in ids:
            self.ledger.unknown.pop(id_, None)

    async def _keyed(self, session: aiohttp.ClientSession) -> None:
        """With a key and no id: however often it is sent, it is one event with one id."""
        event = self._event()
        key = f"key-{event.pop('id')}"
        event |= {"pipeline": key, "run_id": None}
        answer = await self._until_known(session, event, {"Idempotency-Key": key}, 40)
        if answer is None:
            return
        again = await self._until_known(session, event, {"Idempotency-Key": key}, 1)
        if again is not None and again["id"] != answer["id"]:
            self.ledger.broken_promises.append(f"{key}: {answer} and then {again}")
        self.ledger.keys[key] = answer["id"]
        self.ledger.acked[answer["id"]] = str(event["type"])

    async def _again(self, session: aiohttp.ClientSession) -> None:
        id_ = self.random.choice(list(self.ledger.acked)[-200:])
        if not id_.startswith(self.prefix) or not id_[len(self.prefix) :].isdigit():
            return
        answer = await self._until_known(session, {"id": id_, "type": self.ledger.acked[id_], "source": "load"}, {}, 1)
        if answer is not None and not answer["duplicate"]:
            self.ledger.broken_promises.append(f"{id_} was acknowledged before, and now as new: {answer}")

    async def _until_known(
        self, session: aiohttp.ClientSession, body: Any, headers: dict[str, str], tries: int
    ) -> dict[str, Any] | None:
        for number in range(tries):
            if number:
                if self.stopping.is_set() and number > 3:
                    return None
                await asyncio.sleep(0.25)
            self.ledger.posts += 1
            began = time.monotonic()
            try:
                async with session.post(
                    next(self.urls) + "/v1/events",
                    data=json.dumps(body),
                    headers={"Authorization": f"Bearer {self.token}"} | headers,
                ) as reply:
                    raw = await reply.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.ledger.count(type(error).__name__)
                continue
            finally:
                self.ledger.slowest_s = max(self.ledger.slowest_s, time.monotonic() - began)
            self.ledger.count(str(reply.status))
            if 200 <= reply.status < 300:
                answer: dict[str, Any] = json.loads(raw)
                return answer
            if reply.status != 503 and reply.status != 429:
                self.ledger.broken_promises.append(f"answered {reply.status}: {raw[:300]!r}")
            elif not reply.headers.get("Retry-After"):
                self.ledger.broken_promises.append(f"answered {reply.status} without Retry-After: {raw[:300]!r}")
        return None
