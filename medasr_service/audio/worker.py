"""The process from which decoder processes are made, one for each recording.

Run as ``python -m medasr_service.audio.worker DESCRIPTOR``. It loads the decoders once and sees no recording.
For each it makes a copy of itself, which costs some milliseconds and one megabyte; the copy gives up what it
does not need (sandbox), reads this one recording, and ends. What a stranger's bytes break there, no other
recording meets. One copy always waits ahead.
"""

import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any, BinaryIO

import av  # loaded here, once for all copies
import numpy as np
import soundfile

from medasr_service.audio import messages, sandbox, stream
from medasr_service.audio.messages import Kind
from medasr_service.errors import InvalidAudio

JOB = b"j"
MAX_CPU_S = 24 * 3_600  # the service ends a recording that costs more than it may; and see HANG_S
TURN_S = 0.03
HANG_S = 20.0  # CPU time within one turn; at ordinary work a turn takes TURN_S or one block
POLITE_AFTER_S = 2.0  # CPU time, after which the others go first
POLITENESS = 10
READ_BYTES = 1 << 16


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # Ctrl-C and a stop of the whole group come here, too; this process ends when the service has
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    sandbox.name("medasr-decoders")
    warm_up()
    sandbox.prepare()
    gc.disable()
    gc.freeze()
    spare = _copy(control)
    while descriptors := _receive_job(control):
        try:
            socket.send_fds(spare, [JOB], descriptors)
        except OSError:  # it was killed while it waited
            spare.close()
            spare = _copy(control)
            with suppress(OSError):
                socket.send_fds(spare, [JOB], descriptors)
        for each in descriptors:
            os.close(each)
        spare.close()
        spare = _copy(control)


def _reap(*_: object) -> None:
    """Nobody asks how a copy ended; what it cost counts with this process (benchmarks/decoders.py)."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _receive_job(control: socket.socket) -> list[int]:
    """The channel, what shows that somebody waits, the recording; nothing at the end."""
    _, descriptors, _, _ = socket.recv_fds(control, len(JOB), 3)
    return descriptors


def warm_up() -> None:
    """Loads and runs what is loaded at first use: a copy can load nothing any more, and need not."""
    for module in pkgutil.walk_packages(av.__path__, "av."):  # PyAV loads a kind of track when it meets one
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for kind in ("WAV", "FLAC"):
        file = io.BytesIO()
        soundfile.write(file, np.zeros((4_800, 2)), 48_000, format=kind)
        stream.inspect(file, max_duration_s=1.0, max_channels=2)
        list(stream.stream(file, gain=1.0, max_duration_s=1.0, max_channels=2))
        file.seek(0)
        with av.open(file, mode="r", format=kind.lower()) as source:
            to = av.AudioResampler(format="flt")
            for frame in source.decode(audio=0):
                [out.to_ndarray() for out in to.resample(frame)]


def _copy(control: socket.socket) -> socket.socket:
    """A copy of this process that waits for a job at the other end."""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if os.fork():
        theirs.close()
        return ours
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        gc.enable()
        sandbox.follow_parent(parent)
        sandbox.name("medasr-decoder")
        control.close()
        ours.close()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # libraries print there what they find in a file
            os.dup2(null, standard)
        os.close(null)
        sandbox.confine(MAX_CPU_S)
        _serve(theirs)
    finally:
        os._exit(0)


def _serve(waiting: socket.socket) -> None:
    job = _receive_job(waiting)
    waiting.close()
    if not job:
        return
    channel, lifeline, recording = job
    _die_with(lifeline)
    file = io.BufferedReader(io.FileIO(recording), READ_BYTES)
    _Recording(socket.socket(fileno=channel), file).serve()


def _die_with(lifeline: int) -> None:
    """Whoever waits for this recording holds the other end; when it closes, the kernel ends this process.

    At once, also in the middle of a library that never returns.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if not _is_held(lifeline):  # it closed before
        os._exit(0)


def _is_held(lifeline: int) -> bool:
    with socket.socket(fileno=os.dup(lifeline)) as end:
        end.setblocking(False)
        try:
            return bool(end.recv(1))
        except BlockingIOError:
            return True


class _Recording:
    """Answers the calls for one recording, turn by turn."""

    def __init__(self, channel: socket.socket, file: BinaryIO) -> None:
        self._channel = channel
        self._file = file
        self._began = 0.0
        self._is_polite = False

    def serve(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                name, options = json.loads(messages.receive_message(self._channel))
                self._begin_turn()
                self._answer(name, options)

    def _answer(self, name: str, options: dict[str, Any]) -> None:
        try:
            if name == "inspect":
                info = stream.inspect(self._file, on_block=self._end_of_block, **options)
                self._send(Kind.INFO, json.dumps(asdict(info)).encode())
                return
            for block in stream.stream(self._file, **options):
                if block.size:
                    self._send(Kind.BLOCK, np.ascontiguousarray(block))
                    self._wait()
            self._send(Kind.END)
        except InvalidAudio as error:
            self._send(Kind.REFUSED, json.dumps([type(error).__name__, error.message]).encode())
        except MemoryError:
            text = "The recording cannot be read: it needs more memory than any may take."
            self._send(Kind.REFUSED, json.dumps([InvalidAudio.__name__, text]).encode())
        except (EOFError, ConnectionError):  # nobody waits any more
            raise
        except Exception as error:
            self._send(Kind.FAILED, json.dumps(type(error).__name__).encode())

    def _end_of_block(self) -> None:
        if time.thread_time() - self._began >= TURN_S:
            self._send(Kind.MORE)
            self._wait()

    def _wait(self) -> None:
        messages.receive_message(self._channel)
        self._begin_turn()

    def _begin_turn(self) -> None:
        self._began = time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, HANG_S)  # SIGPROF ends the process, whatever it is in
        if self._began > POLITE_AFTER_S and not self._is_polite:
            self._is_polite = True
            os.nice(POLITENESS)

    def _send(self, kind: Kind, body: Any = b"") -> None:
        messages.send(self._channel, kind, body, cpu_s=time.process_time())


if __name__ == "__main__":
    main()
