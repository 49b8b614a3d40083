"""While admission is paused acquisitions wait, and are refused when that takes too long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from framework.admission import Admission
from framework.errors import AdmissionRefusedError


async def until_waiting(admission: Admission, number: int) -> None:
    async with asyncio.timeout(30):
        while admission.waiting < number:
            await asyncio.sleep(0)


async def test_whoever_waits_goes_on_when_another_thread_resumes() -> None:
    admission = Admission()
    admission.pause("memory is short", 30)
    waiting = [asyncio.create_task(admission.wait("memory.buffer")) for _ in range(3)]
    await until_waiting(admission, 3)
    threading.Thread(target=admission.resume).start()
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert (admission.paused, admission.reason, admission.waiting, admission.refused) == (False, "", 0, 0)


async def test_whoever_waits_too_long_is_refused_and_later_ones_are_at_once() -> None:
    admission = Admission()
    admission.pause("memory is short: 95 % of 256 MiB are used", 0.01)
    for _ in range(2):
        with pytest.raises(AdmissionRefusedError, match=r"file\.temp was refused: memory is short: 95 %") as caught:
            await admission.wait("file.temp")
        assert caught.value.resource == "file.temp"
    assert admission.refused == 2
    admission.resume()
    await admission.wait("file.temp")


async def test_pausing_again_changes_the_reason_and_not_the_deadline() -> None:
    admission = Admission()
    admission.pause("first", 0.01)
    admission.pause("second", 1000)
    with pytest.raises(AdmissionRefusedError, match="second"):
        await admission.wait("file.temp")


async def test_who_is_cancelled_waits_no_more() -> None:
    admission = Admission()
    admission.pause("memory is short", 30)
    waiting = asyncio.create_task(admission.wait("file.temp"))
    await until_waiting(admission, 1)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert admission.waiting == 0


def test_a_loop_that_ended_disturbs_nobody() -> None:
    admission = Admission()
    admission.pause("memory is short", 30)
    loop = asyncio.new_event_loop()
    task = loop.create_task(admission.wait("file.temp"))
    loop.run_until_complete(asyncio.sleep(0))
    assert admission.waiting == 1
    loop.close()
    admission.resume()
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # that is what a program would be told of
