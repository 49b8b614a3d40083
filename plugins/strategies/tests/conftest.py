from __future__ import annotations

from collections.abc import Callable

import pytest

from framework import Bag


class Entity:
    """What a bag sees of an entity."""

    def __init__(self, name: str, load: int = 0) -> None:
        self.id = name
        self.load = load

    def __repr__(self) -> str:
        return f"{self.id}:{self.load}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def entity() -> type[Entity]:
    return Entity


@pytest.fixture
def filled() -> Callable[..., list[Entity]]:
    """Return what fills a bag with new entities, and returns these."""

    def fill(bag: Bag, *loads: int) -> list[Entity]:
        members = [Entity(f"e{number}", load) for number, load in enumerate(loads)]
        for one in members:
            bag.push(one)
        return members

    return fill
