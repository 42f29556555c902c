"""Leaving in order, as a server does it: a process of its own, since signals are the process's."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from medasr_service.serving import shutdown

# A server as uvicorn is one: SIGTERM ends it when its requests have ended, SIGINT after that at once.
SERVER = """
import asyncio, logging, signal, sys
from medasr_service.serving import shutdown
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)

async def main():
    ended, finished, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def handle(number, frame):
        print("server", signal.Signals(number).name, flush=True)
        loop.call_soon_threadsafe(ended.set)

    async def finish():
        print("finishing", flush=True)
        await finished.wait()
        print("finished", flush=True)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    shutdown.defer(finish, float(sys.argv[1]))
    loop.add_reader(sys.stdin, finished.set)
    print("serving", flush=True)
    await ended.wait()

asyncio.run(main())
"""


@contextmanager
def server(limit_s: float) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(limit_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for(process, "serving")
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout
    for each in process.stdout:
        if each.strip() == line:
            return
    pytest.fail(f"never said {line!r}")


def rest(process: subprocess.Popen[str]) -> list[str]:
    """All further lines, once its input is closed; communicate() would lose what was read ahead."""
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    lines = process.stdout.read().splitlines()
    process.wait(timeout=30)
    return [line for line in lines if not line.startswith("leaving as soon")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_when_everything_is_finished(number: signal.Signals) -> None:
    with server(60) as process:
        process.send_signal(number)
        wait_for(process, "finishing")
        assert rest(process) == ["finished", "server SIGTERM"]


def test_both_kinds_of_signal_together_are_one() -> None:
    with server(60) as process:
        process.send_signal(signal.SIGINT)
        wait_for(process, "finishing")
        process.send_signal(signal.SIGTERM)
        assert rest(process) == ["finished", "server SIGTERM"]


def test_a_second_signal_ends_at_once() -> None:
    with server(60) as process:
        process.send_signal(signal.SIGINT)
        wait_for(process, "finishing")
        process.send_signal(signal.SIGINT)
        wait_for(process, "leaving before everything is finished")
        assert rest(process)[:2] == ["server SIGTERM", "server SIGINT"]


def test_after_the_limit_it_ends_all_the_same() -> None:
    with server(0.05) as process:
        process.send_signal(signal.SIGTERM)
        wait_for(process, "finishing")
        wait_for(process, "leaving before everything is finished")
        assert rest(process)[:2] == ["server SIGTERM", "server SIGINT"]


async def test_another_process_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        waiting = asyncio.create_task(shutdown.until_gone({process.pid}))
        await asyncio.sleep(0)
        assert not waiting.done()
        await asyncio.to_thread(process.communicate, b"\n")
        async with asyncio.timeout(10):
            await waiting


async def test_nobody_is_waited_for_where_nobody_is() -> None:
    async with asyncio.timeout(5):
        await shutdown.until_gone(set())
