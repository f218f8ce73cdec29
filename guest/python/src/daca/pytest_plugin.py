"""The fixture `daca_host` for pytest."""

from collections.abc import Callable
from typing import Any

import pytest

from .testing import TestHost


@pytest.fixture
def daca_host() -> Callable[..., TestHost]:
    """Makes a host in memory: `host = daca_host(MyAgent, config={"key": "value"})`."""

    def make(agent: type, **options: Any) -> TestHost:
        return TestHost(agent, **options)

    return make
