"""Whether the service can listen: one line before anything is loaded, not a traceback after."""

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from bentoml._internal.utils import circus as bentoml_circus

from medasr_service.serving import address, services
from tests.conftest import PATIENCE_S, Service


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_free_port_is_not_refused(taken: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert address.refusal("127.0.0.1", port) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_named(taken: int, host: str) -> None:
    assert f"port {taken} on {host} is in use" in (address.refusal(host, taken) or "")


@pytest.mark.parametrize("host", ["localhost", "example.org", "1.2.3", "300.0.0.1", ""])
def test_a_host_that_is_no_address_is_named(host: str) -> None:
    assert "MEDASR_HOST" in (address.refusal(host, 8400) or "")


def test_an_address_of_another_machine_is_refused() -> None:
    assert "cannot be had" in (address.refusal("192.0.2.1", 8400) or "")


@pytest.mark.e2e
def test_a_service_on_a_port_in_use_ends_with_one_line(
    start_service: Callable[..., Service], taken: int
) -> None:
    service = start_service(MEDASR_PORT=str(taken))
    assert service.process.wait(timeout=PATIENCE_S) == 1
    log = service.log.read_text()
    assert f"medasr: port {taken} on 127.0.0.1 is in use" in log
    assert "Traceback" not in log


@pytest.mark.e2e
def test_a_port_that_only_bentoml_was_told_is_asked_for_before_anything_is_loaded(
    start_service: Callable[..., Service], taken: int
) -> None:
    service = start_service(BENTOML_PORT=str(taken))
    assert service.process.wait(timeout=PATIENCE_S) == 1
    log = service.log.read_text()
    assert f"medasr: port {taken} on 127.0.0.1 is in use" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False)])
def test_a_service_that_is_open_to_others_without_a_key_says_so_whoever_named_the_address(
    monkeypatch: pytest.MonkeyPatch, host: str, warned: bool
) -> None:
    said: list[tuple[object, ...]] = []
    monkeypatch.setattr(services.log, "warning", lambda *words: said.append(words))
    with socket.socket() as listener:
        listens = SimpleNamespace(name="_bento_api_server", host=host, fileno=listener.fileno)
        supervised = bentoml_circus.create_standalone_arbiter([], sockets=[listens])
    supervised.ctrl.sys_hdl.stop()
    assert [words[-1] for words in said] == [host] * warned
