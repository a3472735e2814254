"""Limits for work on what a stranger made: it may hang, or want all memory, in any library that it passes through."""

import contextlib
import signal
import threading


class OverTime(BaseException):
    """The work under a time limit took too long. No library takes this for an error of its own, and passes over it."""


@contextlib.contextmanager
def time_limit(seconds):
    """Raise OverTime in the block, wherever it is, after so many seconds, and once more every second.

    What has to be put back is put around this limit: inside, anything may be left half done.
    Python takes signals in its main thread only: in any other, and on systems without such a clock, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_):
        if is_on:
            raise OverTime

    is_on, timer, handler = True, signal.getitimer(signal.ITIMER_REAL), signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, 1)
        yield
    finally:
        is_on = False  # first: from here on, an alarm interrupts nothing
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN if handler is None else handler)
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

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    room = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (room if soft == resource.RLIM_INFINITY else min(room, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
