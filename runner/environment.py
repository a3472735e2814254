"""The Python environment that the tutorial runs in: what it needs, what is locked, and how `.venv` is built.

Only the standard library is imported at the top: `runner/bootstrap.sh` runs this file before anything is installed.
"""

import ast
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from contextlib import contextmanager
from pathlib import Path

from runner.ending import NO_SPACE, for_children, in_one_sentence, in_words
from runner.project import Project, takes

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "environment.yml"
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
BEFORE = ROOT / ".venv.before"  # the one that is being replaced, until the new one is complete
NEEDED = 2e7  # bytes that a package of the lock takes on average, with a margin
LITTLE = 5e7  # bytes that any step of the installation may need
PYTHON = ".".join(map(str, sys.version_info[:2]))
MARK = VENV / "complete"  # written last, so its absence means an interrupted installation
PIP = ("-I", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
# What tells Python, pip, uv and setuptools where, for whom or how to install is not passed on ...
WHERE = re.compile("_?(PYTHON|PIP_|UV_|SETUPTOOLS_|DIST_|DISTUTILS_|DEB_PYTHON_|VIRTUAL_ENV)")
# ... but for what says whence packages come, and how they are fetched.
WHENCE = re.compile(
    "(PIP|UV)_(.*(INDEX|PYPI|LINKS|HOST|PROXY|CERT|TLS|TIMEOUT|RETRIES|CACHE|CONSTRAINT|KEYRING|CREDENTIALS).*"
    "|CONFIG_FILE|NO_CONFIG|NO_INPUT|OFFLINE|USE_FEATURE|USE_DEPRECATED)"
)


# --- what is needed, and what is locked ---


def requirements():
    """Return the entries under `- pip:` in environment.yml, such as "numpy >=2.0"."""
    text = re.sub(r"\s*(#.*)?$", "", LIST.read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = text.partition("\n  - pip:\n")[2].splitlines()
    strange = [
        entry for entry in entries if not re.fullmatch(r"      - [A-Za-z0-9._-]+( [<>=!~][0-9.,<>=!~]*)?", entry)
    ]
    if strange or not entries:
        raise ValueError(
            f"{LIST.name}: expected '      - name >=version' under '  - pip:', found {[*strange, 'nothing'][0]!r}"
        )
    return [entry[8:] for entry in entries]


def requirements_digest():
    """Return the SHA-256 of the sorted list; the lock's first line carries it."""
    return hashlib.sha256("\n".join(sorted(requirements())).encode()).hexdigest()


def locked_versions(root=ROOT):
    """Return {name: version} of everything in the requirements.lock of ``root``, names in lower case with hyphens."""
    pins = re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;]+)", (root / LOCK.name).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    versions = dict(pins)
    if len(versions) != len(pins):
        raise ValueError(f"{LOCK.name} pins a package twice")
    return versions


def unsatisfied():
    """Return the entries of the list that the running Python's installed packages do not satisfy."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # much of the list depends on packaging, so little of it can be here
        return requirements()
    wanted = {entry: Requirement(entry) for entry in requirements()}
    versions = {entry: installed(one.name) for entry, one in wanted.items()}
    return [
        entry
        for entry, one in wanted.items()
        if not versions[entry] or not one.specifier.contains(versions[entry], True)
    ]


def installed(name, path=sys.path):
    """Return the version of a package that is installed in the folders ``path``, or None."""
    return next((found.version for found in importlib.metadata.distributions(name=name, path=path)), None)


# --- .venv ---


def expected_mark():
    """Return what MARK must hold for the running Python's `.venv` to be complete and up to date.

    The folder is part of it because an environment does not survive being moved or copied,
    the Python because one replaced under `.venv` no longer sees the packages.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = [project["build-system"], project["project"], project["tool"]["setuptools"]]
    return json.dumps(
        {
            "folder": str(ROOT),
            "python": PYTHON,
            "lock": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
            "project": hashlib.sha256(json.dumps(installed).encode()).hexdigest(),
        },
        indent=1,
    )


def is_current():
    """Say whether the running Python belongs to a complete, up-to-date `.venv`."""
    return MARK.exists() and MARK.read_text(encoding="utf-8") == expected_mark()


def build_venv():
    """Build `.venv` from nothing: the lock with its hashes required, then the project itself; the mark last."""
    with _only_one() as lock:
        if BEFORE.exists():  # the last make was killed while it built
            _bring_back()
        if _venv_is_current():
            return  # another make built it while this one waited
        _require_whole_lock()
        _require_idle()
        _require_suitable(VENV if VENV.exists() else ROOT)
        _say(f"Building .venv with Python {PYTHON} (once; {len(locked_versions())} packages, 3 GB, 1 to 5 minutes) ...")
        try:
            _put_aside()
            # The running Python may belong to the very .venv that is replaced, if that is active: use the one beneath.
            _step(lock, sys._base_executable, "-Es", "-m", "venv", "--clear", VENV.resolve())
            # Wheels only: to build from source, pip would fetch tools that no hash vouches for.
            options = ("--require-hashes", "--only-binary", ":all:", "-r", LOCK)
            _step(lock, VENV_PYTHON, *PIP, *options, **pip_settings(VENV_PYTHON))
            # Not by its path: pip would take brackets in that for names of extras.
            options = ("--isolated", "--no-index", "--no-deps", "--no-build-isolation", "-e", ".")
            _step(lock, VENV_PYTHON, *PIP, *options, PIP_CONFIG_FILE=os.devnull)
            _require_installed()
            mark = MARK.with_suffix(".new")
            mark.write_text(expected_mark(), encoding="utf-8")
            os.replace(mark, MARK)
        except BaseException:
            _bring_back()
            raise
        shutil.rmtree(BEFORE, ignore_errors=True)
        _say(".venv is ready.")


def _bring_back():
    """Remove a `.venv` that is not complete; the one before takes its place again, if there is one."""
    if not MARK.exists():
        if VENV.exists() and not VENV.is_symlink():  # renamed first: a step that was not killed may still write into it
            os.rename(VENV, ROOT / f".venv.{os.getpid()}")
        if BEFORE.exists():
            os.rename(BEFORE, VENV)
    for folder in [BEFORE, *ROOT.glob(".venv.[0-9]*")]:
        shutil.rmtree(folder, ignore_errors=True)


def _require_whole_lock():
    names = {canonical(name) for name in locked_versions()}
    if missing := [entry for entry in requirements() if canonical(entry.split()[0]) not in names]:
        sys.exit(
            f"{LOCK.name} lacks {missing[0].split()[0]}, which {LIST.name} names: "
            "restore both from git, or run `make lock`."
        )


def canonical(name):
    """The name of a package in lower case with hyphens, as indexes compare them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _require_suitable(folder):
    """End here if no environment can live on the file system of ``folder``."""
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):
        sys.exit(
            f"{folder} is on a disk from which no program may run (noexec), as .venv must: copy the project to "
            "another disk, or make .venv a link to a folder there, and run the same command again."
        )
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            os.symlink("lib", Path(scratch, "lib64"))
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        sys.exit(
            f"{folder} is on a disk without symbolic links, which .venv needs: copy the project to another disk and "
            "run the same command there."
        )


def _require_installed():
    """End here if a package that every system needs is not in `.venv`, although no step of the installation failed."""
    folder = sysconfig.get_path("purelib", "venv", {"base": str(VENV)})
    if missing := [entry for entry in requirements() if not installed(entry.split()[0], [folder])]:
        sys.exit(
            f"The installation went elsewhere, for {missing[0].split()[0]} is not in {folder}: find the setting of pip "
            'or Python that leads it there, or run the command as `env -i HOME="$HOME" PATH="$PATH" make ...`.'
        )


def _require_idle():
    """End here if chapters are being executed with the `.venv` that would be replaced."""
    if (ROOT / "build" / "lock").exists():
        with Project(ROOT).alone(
            "lock", "Chapters are being executed with the .venv that is to be replaced; wait for that to end."
        ):
            pass


@contextmanager
def _only_one():
    """Hold the lock that keeps two makes from building `.venv` at once; the system frees it however this one ends."""
    with open(ROOT / ".venv.lock", "w") as lock:
        if not takes(lock):
            _say("Another make is building .venv: waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _venv_is_current():
    try:
        return (
            subprocess.run(
                [VENV_PYTHON, "-Es", "-m", "runner.environment", "current"], cwd=ROOT, stderr=subprocess.DEVNULL
            ).returncode
            == 0
        )
    except OSError:  # no such Python, or one that does not start
        return False


def _put_aside():
    """Put a complete `.venv` aside, and remove one that is not; ends here where there is no room for a new one."""
    is_whole = MARK.exists() and not VENV.is_symlink()  # a link leads to another disk, where it is built anew
    if not is_whole:
        MARK.unlink(missing_ok=True)
        shutil.rmtree(VENV, ignore_errors=True)
    free, needed = shutil.disk_usage(VENV if VENV.exists() else ROOT).free, NEEDED * len(locked_versions())
    if free < needed:
        choice = "make room, or remove the outdated .venv," if is_whole else "make room"
        sys.exit(
            f"There is no space left for .venv: it needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            f"{choice} and run the same command again."
        )
    if is_whole:
        os.rename(VENV, BEFORE)


def _step(lock, *command, **settings):
    """Run one installation step with ``settings`` of its own; what it prints is shown only if it fails.

    The step shares the lock: should this process be killed, the step still holds it.
    """
    done = subprocess.run(
        command, cwd=ROOT, env={**variables(), **settings}, **for_children(lock.fileno()),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        # ensurepip does not tell why it failed.
        free = min(shutil.disk_usage(folder).free for folder in (ROOT, tempfile.gettempdir()))
        if free < LITTLE or any(os.strerror(number).encode() in done.stdout for number in NO_SPACE):
            sys.exit(
                "There is no space left for .venv, or for the temporary files of its installation: "
                "make room and run the same command again."
            )
        sys.stderr.buffer.write(done.stdout)
        sys.exit("The installation failed for the reason above; the next make starts it afresh.")


def _say(sentence):
    print(sentence, file=sys.stderr, flush=True)


# --- what an installation sees of the person's settings ---


def variables():
    """Return the person's variables without those that lead an installation elsewhere."""
    return {name: value for name, value in os.environ.items() if WHENCE.fullmatch(name) or not WHERE.match(name)}


def pip_settings(python):
    """Return variables for the pip of ``python``: what the person's files of settings say of whence packages come.

    Of those files pip itself must read nothing: no option takes back a `target`.
    """
    command = (python, "-I", "-m", "pip", "--python", python, "config", "list")
    # Whatever the files say: `config list` has options of its own, and `user` is one.
    all_of_it = dict.fromkeys(["PIP_QUIET", "PIP_VERBOSE", "PIP_USER", "PIP_GLOBAL", "PIP_SITE"], "0")
    told = {**variables(), **all_of_it, "PIP_LOG": os.devnull}
    listed = subprocess.run(command, env=told, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = re.findall("^(?:global|install)[.](.+?)=(.+)$", listed, flags=re.MULTILINE)
    named = {"PIP_" + name.upper().replace("-", "_"): ast.literal_eval(value) for name, value in found}
    chosen = {name: value for name, value in named.items() if WHENCE.fullmatch(name) and name not in os.environ}
    return {**chosen, "PIP_CONFIG_FILE": os.devnull}


# --- requirements.lock ---


def compile_lock():
    """Compile the list into requirements.lock: the newest versions, for all supported Pythons, without an address."""
    tools = ROOT / "build" / "lock-tools"
    _say("Compiling requirements.lock from environment.yml (about a minute) ...")
    python = tools / "bin" / "python"
    subprocess.run([sys.executable, "-Es", "-m", "venv", "--clear", tools], env=variables(), check=True)
    subprocess.run([python, *PIP, "uv"], env=variables() | pip_settings(python), check=True)
    header = (
        f"# Compiled by `make lock` from environment.yml, whose sorted list has the SHA-256 {requirements_digest()}."
    )
    options = (
        "--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url --upgrade "
        "--no-header --quiet -"
    )
    with open(tools / LOCK.name, "w", encoding="utf-8") as scratch:
        print(header, file=scratch, flush=True)
        subprocess.run(
            [tools / "bin" / "uv", "pip", "compile", "--python", python, *options.split()],
            input="\n".join(requirements()).encode(), env=variables(), stdout=scratch, check=True,
        )  # fmt: skip
    os.replace(scratch.name, LOCK)
    _say(f"requirements.lock pins {len(locked_versions())} packages; the next make installs them.")


def main(command):
    """Run one of the commands that the Makefile and runner/bootstrap.sh use; returns the exit status."""
    if command == "unsatisfied" and (missing := unsatisfied()):
        print("without " + ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else ""))
        return 1
    if command == "current":
        return 0 if is_current() else 1
    return {"build": build_venv, "lock": compile_lock, "unsatisfied": lambda: 0}[command]()


if __name__ == "__main__":
    with in_one_sentence("Interrupted. The next make goes on with what is missing."):
        try:
            sys.exit(main(*sys.argv[1:]))
        except subprocess.CalledProcessError as failure:
            sys.exit(f"This step failed for the reason above: {' '.join(map(str, failure.cmd))}")
        except (ValueError, FileNotFoundError) as failure:
            if in_words(failure):  # it is not a file of the project that is missing
                raise
            sys.exit(f"{LOCK.name} or {LIST.name} is damaged ({failure}): restore both from git.")
