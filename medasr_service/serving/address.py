"""Whether the service can listen where it is told to, asked before anything is loaded."""

import errno
import socket
from ipaddress import ip_address

import click


def asked_for(host: str, port: int) -> tuple[str, int]:
    """The settings' address, or the one in the command line or in BENTOML_HOST and BENTOML_PORT."""
    context = click.get_current_context(silent=True)
    told = context.params if context else {}
    return told.get("host") or host, told.get("port") or port


def refusal(host: str, port: int) -> str | None:
    """Why nobody can listen there, in one line; None where one can."""
    try:
        version = ip_address(host).version
    except ValueError:
        return f"{host!r} is no address to listen on; set MEDASR_HOST to one, such as 127.0.0.1 or 0.0.0.0"
    with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was left a moment ago is free
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
            return f"port {port} on {host} {reason}; choose another with MEDASR_PORT"
    return None
