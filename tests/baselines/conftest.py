"""Small matrices are multiplied by one thread: on busy processors two that wait for each other are fifty times slower."""
import pytest
import threadpoolctl


@pytest.fixture(autouse=True)
def one_thread():
    with threadpoolctl.threadpool_limits(1):
        yield
