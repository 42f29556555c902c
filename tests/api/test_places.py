"""Few places, many clients: nobody has them all, and who uses none gives way."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.types import Scope

from medasr_service.api.clients import client_of, network
from medasr_service.api.keys import KeyCheck
from medasr_service.api.places import Place, Places
from medasr_service.errors import Busy
from medasr_service.settings import Settings
from tests.api.test_keys import ALICE, BOB, bearer
from tests.conftest import http_scope


def stays() -> None:
    return None


class Clinic:
    """Who holds what of 16 places; no place is given back."""

    def __init__(self, limit: int = 16, share: float = 0.75) -> None:
        self.places = Places("transcriptions", limit, share)
        self.stack = ExitStack()
        self.left: list[str] = []

    def take(self, client: str, yields: Callable[[], float | None] = stays, name: str = "") -> None:
        place = Place(client, yields, lambda: self.left.append(name))
        self.stack.enter_context(self.places.taken(place))

    def fill(self, client: str) -> int:
        """How many it gets until it is refused."""
        for count in range(100):
            try:
                self.take(client)
            except Busy as error:
                self.refusal = error
                return count
        raise AssertionError("nobody is refused")


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2), (3, 3), (4, 3), (16, 12), (64, 48)])
def test_alone_a_client_gets_its_share(limit: int, most: int) -> None:
    clinic = Clinic(limit)
    assert clinic.fill("greedy") == most
    assert (clinic.refusal.status, clinic.refusal.retry_after_s) == (429, 1)


def test_beside_those_who_take_all_they_can_another_is_served() -> None:
    clinic = Clinic(64)
    assert [clinic.fill(name) for name in ("one", "two", "three")] == [48, 12, 3]
    clinic.take("modest")
    with pytest.raises(Busy, match="64 transcriptions are under way, the limit"):
        clinic.take("late")


def test_a_refused_client_is_told_why() -> None:
    clinic = Clinic()
    clinic.fill("greedy")
    assert "12 transcriptions of yours are under way" in clinic.refusal.message
    assert "greedy" not in clinic.refusal.message


def test_with_a_share_of_one_a_client_gets_all() -> None:
    assert Clinic(share=1).fill("only") == 16


def test_a_place_that_is_given_back_is_free() -> None:
    places = Places("transcriptions", 1, 0.75)
    for _ in range(3):
        with places.taken(Place("a", stays, stays)):
            assert len(places) == 1
    assert len(places) == 0


def test_who_gives_way_is_told_once_and_the_place_is_anothers() -> None:
    clinic = Clinic(3)
    clinic.take("a", name="stays")
    clinic.take("b", lambda: 20.0, name="later")
    clinic.take("c", lambda: 30.0, name="first")
    clinic.take("d")
    assert clinic.left == ["first"]
    clinic.take("e")
    assert clinic.left == ["first", "later"]
    clinic.stack.close()
    assert len(clinic.places) == 0


def test_a_client_beyond_its_share_takes_no_place_from_others() -> None:
    clinic = Clinic(4)
    clinic.take("other", lambda: 99.0, name="other's")
    clinic.take("greedy", lambda: 1.0, name="its own")
    for _ in range(3):
        clinic.take("greedy")
    with pytest.raises(Busy):
        clinic.take("greedy")
    assert clinic.left == ["its own"]


def test_a_client_is_its_key_or_its_address() -> None:
    async def client(address: str, key: str, **settings: Any) -> str:
        seen: list[str] = []

        async def app(scope: Scope, *_: Any) -> None:
            seen.append(client_of(scope))

        headers = [(name.lower().encode(), value.encode()) for name, value in bearer(key).items()]
        scope = {**http_scope(headers=headers), "client": (address, 1)}
        await KeyCheck(app, Settings(**settings))(scope, never, never)
        return seen[0]

    def ask(address: str, key: str, **settings: Any) -> str:
        return asyncio.run(client(address, key, **settings))

    keys = {"api_keys": SecretStr(f"{ALICE},{BOB}")}
    assert ask("10.0.0.1", ALICE, **keys) == ask("10.0.0.2", ALICE, **keys)
    assert ask("10.0.0.1", ALICE, **keys) != ask("10.0.0.1", BOB, **keys)
    assert ALICE not in ask("10.0.0.1", ALICE, **keys)
    assert ask("10.0.0.1", ALICE) == ask("10.0.0.1", BOB) == "10.0.0.1"


async def never(*_: Any) -> Any:
    raise AssertionError


def test_a_machine_has_one_address_however_many_it_has() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:1") != network("2001:db8:0:1::1")
    assert network("::ffff:10.0.0.1") == network("10.0.0.1") != network("10.0.0.2")
    assert network("fe80::1%eth0") == network("fe80::2")
    assert network("testclient") == "testclient"
