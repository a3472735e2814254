"""Limits for work on what a stranger made: it may hang, or want all memory, in any library that it passes through."""

import contextlib
import signal
import threading


class OverTime(Exception):
    """The work under a time limit took too long."""


@contextlib.contextmanager
def time_limit(seconds):
    """Raise OverTime in the block, wherever it is, after so many seconds; yields a function that starts them anew.

    Python takes signals in its main thread only: in any other, and on systems without such a clock, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield lambda: None
        return

    def start():
        # Once more every second, should the first exception get lost in a library.
        return signal.setitimer(signal.ITIMER_REAL, seconds, 1)

    def stop(_, frame):
        while frame and frame.f_code.co_name not in ("__enter__", "__exit__"):
            frame = frame.f_back
        if is_on and not frame:  # else the next second: what is being set up or put back shall not be left half done
            raise OverTime

    is_on, handler = True, signal.signal(signal.SIGALRM, stop)
    timer = start()
    try:
        yield start
    finally:
        is_on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if handler is not None:  # as of one that was not set from Python
            signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


@contextlib.contextmanager
def memory_limit(more):
    """Let the process grow by so many bytes in the block: Python raises MemoryError beyond, other libraries fail.

    The limit is the whole process's, so nothing else should be at work meanwhile.  Only Linux keeps it; elsewhere
    there is none.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
    except OSError:
        yield
        return
    import resource  # which Windows has not

    before = resource.getrlimit(resource.RLIMIT_AS)
    soft = pages * resource.getpagesize() + more
    if before[0] != resource.RLIM_INFINITY:
        soft = min(soft, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
