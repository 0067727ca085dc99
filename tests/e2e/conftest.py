"""Whole sites, on the worker's Pebble: one at a time, because they share the port that it validates at."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.broken import Ground
from tests.e2e.runner import Runner
from tests.e2e.site import Site
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble

SiteFactory = Callable[..., Site]
"""Makes the started site of a test; it takes the fields of Site but for directory and Pebble."""


@pytest.fixture
def make_site(tmp_path: Path, pebble: Pebble) -> Iterator[SiteFactory]:
    """Makes a started site with settings of its own."""
    with ExitStack() as sites:

        def make(**settings: Any) -> Site:
            return sites.enter_context(Site(tmp_path, settings.pop("pebble", pebble), **settings))

        yield make


@pytest.fixture
def site(make_site: SiteFactory) -> Site:
    """A started site with the certificate `www`, still on its placeholder."""
    return make_site()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, pebble: Pebble) -> Iterator[Ground]:
    """Pebble, one nginx and a runner for all the cases of a module."""
    directory = tmp_path_factory.mktemp("ground")
    with Nginx(directory / "nginx", http_port=pebble.http_port, workers=1) as nginx, Runner() as runner:
        yield Ground(directory, pebble, nginx, runner)
