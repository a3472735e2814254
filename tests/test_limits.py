"""Limits end what hangs or wants all memory, let everything else through, and leave nothing behind."""

import contextlib
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cifar_helpers.limits import OverTime, memory_limit, time_limit


@pytest.fixture(autouse=True)
def nothing_stays():
    def now():
        return signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_AS)

    before = now()
    yield
    assert (*now(), signal.getitimer(signal.ITIMER_REAL)) == (*before, (0, 0))


@pytest.mark.parametrize("passed_over", [(), Exception])
def test_what_hangs_is_ended_even_in_a_library_that_passes_over_every_error(passed_over):
    started = time.monotonic()
    with pytest.raises(OverTime), time_limit(0.1), contextlib.suppress(passed_over):
        time.sleep(30)
    assert time.monotonic() - started < 25


def test_what_is_quick_or_fails_goes_through():
    with pytest.raises(ValueError, match="its own"), memory_limit(3 * 10**8), time_limit(30):
        assert len(bytearray(10**8)) == 10**8
        raise ValueError("its own")


def test_a_timer_that_was_set_before_is_set_again():
    signal.setitimer(signal.ITIMER_REAL, 100, 7)
    with time_limit(30):
        pass
    assert signal.setitimer(signal.ITIMER_REAL, 0) == (pytest.approx(100, abs=5), 7)


def test_an_alarm_at_the_very_end_leaves_nothing_behind():
    for number in range(300):
        with contextlib.suppress(OverTime), memory_limit(10**9), time_limit(0.0001):
            sum(range(number * 10))


def test_in_another_thread_there_is_no_limit():
    def work():
        with time_limit(0.05):
            return time.sleep(0.2) is None

    with ThreadPoolExecutor() as others:
        assert others.submit(work).result()


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux limits what a process may take.")
def test_what_wants_all_memory_is_ended():
    with pytest.raises(MemoryError), memory_limit(10**8):
        bytearray(2 * 10**8)
