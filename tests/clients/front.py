"""TLS in front of a service, as a proxy would have it."""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, which is its own authority, and its key."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = ["openssl", *new.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", made], check=True, capture_output=True)
    return made, key


@contextmanager
def tls(port: int, made: Path, key: Path) -> Iterator[str]:
    """The address at which the service on this port of 127.0.0.1 is reached."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made, key)
    with asyncio.Runner() as runner:
        loop, done = runner.get_loop(), asyncio.Event()
        ready: Future[str] = Future()

        async def serve() -> None:
            async with await _serve(port, context) as server:
                ready.set_result(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
                await done.wait()

        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        try:
            yield ready.result()
        finally:
            loop.call_soon_threadsafe(done.set)
            thread.join()


async def _serve(port: int, context: ssl.SSLContext) -> asyncio.Server:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    return await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
