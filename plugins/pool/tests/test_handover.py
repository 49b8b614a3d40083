"""What goes from thread to thread: each item once, in order, and nobody waits for longer than they said."""

from __future__ import annotations

import threading
import time

from plugin_pool.handover import Handover

LONG = 60.0
SHORT = 0.0002


def test_items_come_in_order() -> None:
    queue: Handover[int] = Handover()
    for one in range(3):
        queue.put(one)

    assert [queue.get(0), queue.get(), queue.get(LONG), queue.get(0), queue.get(SHORT), queue.get(-1)] == [
        *(0, 1, 2),
        *(None, None, None),
    ]


def test_who_waits_without_end_is_woken() -> None:
    queue: Handover[str] = Handover()
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(queue.get()))
    thread.start()
    while not queue._gates:
        time.sleep(0.001)
    queue.put("item")
    thread.join(LONG)

    assert got == ["item"]


def test_everybody_s_time_ends_however_others_race() -> None:
    queue: Handover[int] = Handover()
    items, ended = range(20_000), threading.Event()
    got: list[int] = []

    def take() -> None:
        while not ended.is_set():
            item = queue.get(SHORT)
            if item is not None:
                got.append(item)

    threads = [threading.Thread(target=take, daemon=True) for _ in range(8)]
    for one in threads:
        one.start()
    for item in items:
        queue.put(item)
        if item % 50 == 0:
            time.sleep(SHORT)  # so that they wait, and their time is over at about the moment of the next
    give_up = time.monotonic() + LONG
    while len(got) < len(items) and time.monotonic() < give_up:
        time.sleep(0.001)
    ended.set()
    for one in threads:
        one.join(LONG)

    assert [one.is_alive() for one in threads] == [False] * 8
    assert sorted(got) == list(items)
    assert not queue._gates


def test_who_is_woken_too_late_wakes_the_next() -> None:
    queue: Handover[str] = Handover()
    late, gate = threading.Lock(), threading.Lock()
    for one in (late, gate):
        one.acquire()
        queue._gates.append(one)
    queue.put("item")  # wakes the first, whose time was over meanwhile

    queue._leave(late)
    assert gate.acquire(timeout=LONG)
    assert queue.get(0) == "item"
