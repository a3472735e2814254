"""How commands end: with one sentence, whatever stops them, and without leaving a process behind.

Only the standard library is imported: `runner/environment.py` needs this before anything is installed.
"""

import contextlib
import ctypes
import errno
import logging
import os
import signal
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, `kill`, and a terminal that is closed
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
PR_SET_PDEATHSIG = 1  # of Linux

received = []  # the signal that ends this process


class BadRequest(Exception):
    """What was asked for cannot be done; the message is one sentence for the person who asked."""

    status = 2  # of the process


@contextlib.contextmanager
def in_one_sentence(interrupted):
    """Run a command; where it cannot go on, end the process with one sentence on standard error.

    interrupted: the sentence for Ctrl-C, SIGTERM and SIGHUP.  Of an exception that has a ``status``, that is
    the exit status and its message the sentence.
    """

    _mend_streams()

    def at_once(*_):
        with contextlib.suppress(OSError):
            os.write(2, f"\n{interrupted}\n".encode())
        os._exit(128 + received[0])

    def stop(number, _):
        received.append(number)
        logging.disable()  # what is stopped on purpose has no more to report
        # A second signal, and an exception that Python drops (in a callback of its own), end it here and now.
        for other in listening:
            signal.signal(other, at_once)
        sys.unraisablehook = at_once
        raise KeyboardInterrupt

    # What is ignored from the start stays so: under nohup, or in the background of a script.
    listening = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    for number in listening:
        signal.signal(number, stop)
    try:
        try:
            yield
        except SystemExit:  # how most commands end
            print(end="", flush=True)
            raise
        print(end="", flush=True)  # here, where a failure is still said in one sentence
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os._exit(128 + signal.SIGPIPE)
    except BaseException as error:
        if received:
            at_once()
        if sentence := str(error) if hasattr(error, "status") else in_words(error):
            for words, stream in (("", sys.stdout), (f"{sentence}\n", sys.stderr)):
                with contextlib.suppress(OSError):
                    print(end=words, file=stream, flush=True)
            os._exit(getattr(error, "status", 1))  # on a full disk, what is still to be flushed would fail as well
        raise
    finally:
        for number in listening:  # all is done: what is left is Python's own way out
            signal.signal(number, signal.SIG_IGN)


def _mend_streams():
    """Lead nowhere what the caller has closed: the next file that is opened would stand in its place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        setattr(sys, name, getattr(sys, name) or open(os.devnull, "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # the name of a file may hold anything


@contextlib.contextmanager
def without_traceback():
    """Run what a process computes for another: a full disk or a protected folder ends it with one sentence."""
    try:
        yield
    except OSError as error:
        if sentence := in_words(error):
            sys.exit(sentence)
        raise


def in_words(error):
    """What a full disk or a protected folder means, in one sentence; "" for any other error."""
    if not isinstance(error, OSError):
        return ""
    name = error.filename or "what it writes"
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return "There is no folder for temporary files that may be written to: name one with the variable TMPDIR."
    if error.errno == errno.EBADF and error.filename is None:
        return "The output of this command leads to what cannot be written to."
    # Some libraries give the text only.
    if error.errno in NO_SPACE or any(os.strerror(number) in str(error) for number in NO_SPACE):
        return (
            f"There is no space left for {name} ({os.strerror(error.errno or errno.ENOSPC)}): make room and run the "
            "same command again; what was published is whole."
        )
    if error.errno in NOT_WRITABLE:
        reason = f"{name} cannot be opened ({error.strerror})"
        return f"{reason}: run the command in a copy of the project that you may write to."
    return ""


def for_children(*descriptors):
    """Options of ``subprocess`` for a process that must not outlive this one, and that holds ``descriptors`` open too.

    The kernel of Linux ends it; elsewhere Jupyter's kernels look after their parent themselves.
    """
    libc, parent = ctypes.CDLL(None) if sys.platform == "linux" else None, os.getpid()

    def with_parent():
        if libc:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it has gone already
                os._exit(1)

    return {"pass_fds": descriptors, "preexec_fn": with_parent}
