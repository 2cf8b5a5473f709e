"""Fixtures of the unit tests."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def no_logs() -> Iterator[None]:
    """Log nothing: the faults are on purpose."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    structlog.reset_defaults()
