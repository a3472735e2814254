"""No room on the disk, a folder that cannot be written to, nobody at home: one sentence, and nothing half-written."""

import contextlib
import pwd
import resource
import shutil
import subprocess
import sys
import tempfile

import pytest
from test_interruption import NAMES, PUBLISHING, publishing

from cifar_helpers import data, fetch
from runner import site
from runner.ending import in_words
from toy import PROJECT, Toy, bare_project, clean_environment


@contextlib.contextmanager
def mounted(folder, *options, read_only=False):
    """Mount something at ``folder`` for a while; skips the test where that is not permitted."""
    folder.mkdir(exist_ok=True)
    if not shutil.which("mount") or subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        pytest.skip("Only root may mount a small file system here: run this test in a container.")
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def small(tmp_path):
    """A folder on a file system of 3 MB of its own."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=3m", "none") as folder:
        yield folder


def is_one_sentence(errors):
    text = errors.strip()
    return bool(text) and "Traceback" not in text and len(text.splitlines()) == 1


# --- no room ---


ONLY_FULL = {"marks": pytest.mark.full}


@pytest.mark.parametrize("left", [8_000, pytest.param(0, **ONLY_FULL), pytest.param(24_000, **ONLY_FULL)])
def test_a_full_disk_stops_execute_and_leaves_what_is_published(small, fault, left):
    toy = Toy.build(small / "project")
    before = toy.published()
    filler = small / "filler"
    free = shutil.disk_usage(small).free
    filler.write_bytes(b"x" * max(free - left, 0))
    with fault("disk full, make execute"):
        done = toy.run("execute", "CHAPTERS=1")
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr and ("no space left" in done.stderr or "No space left" in done.stderr)
        assert toy.published() == before
        filler.unlink()
        assert toy.run("execute", "CHAPTERS=1").returncode == 0


def limited(command, toy, most):
    """What a command of the miniature project ends with where no file may be larger than ``most`` bytes."""
    return subprocess.run(
        command, cwd=toy.folder, env=toy.environment(), capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )  # fmt: skip


def test_a_limit_for_files_stops_publishing_before_any_file_is_replaced(tmp_path, fault):
    toy = publishing(tmp_path)
    with fault("disk full, publishing"):
        done = limited([sys.executable, "-c", PUBLISHING, "1"], toy, 20_000)
        assert done.returncode == 1
        assert is_one_sentence(done.stderr) and "There is no space left" in done.stderr
        assert {toy.path(name).read_text()[:6] for name in NAMES} == {"    0\n"}


LARGE = {
    "plain": "HERE.build.joinpath('new.keras').write_bytes(bytes(4_000_000))",
    "hdf5": """
import h5py, numpy
with h5py.File(HERE.build / "new.h5", "w") as file:
    file["weights"] = numpy.zeros(1_000_000)
""",
}


@pytest.mark.parametrize("how", [pytest.param("plain", **ONLY_FULL), "hdf5"])
def test_a_full_disk_stops_a_study_without_a_traceback(tmp_path, fault, how):
    toy = Toy.build(tmp_path / "project")
    toy.give_study(LARGE[how])
    before = toy.published()
    with fault("disk full, make study"):
        done = limited(toy.command("study"), toy, 1_000_000)
        reason, what_next = done.stderr.splitlines()
        assert done.returncode == 2 and reason.startswith("There is no space left for ")
        assert what_next == "one-seed0 stopped before its end; `make study` goes on with it."
        assert toy.published() == before


@pytest.mark.parametrize("room", [pytest.param(0, **ONLY_FULL), 600_000])
def test_a_full_disk_stops_the_site_and_leaves_the_one_before(small, fault, room, monkeypatch):
    """room: what is left for the folder that Sphinx writes to, or for some of what it writes."""
    writes = "import os, sys; os.makedirs(sys.argv[-1]); open(sys.argv[-1] + '/index.html', 'wb').write(bytes(10**7))"
    monkeypatch.setattr(site, "SPHINX", (sys.executable, "-c", writes))  # its own work takes a whole project
    monkeypatch.setattr(site, "SITE", small / "site")
    monkeypatch.setattr(site, "SCRATCH", small / "site-new")
    site.SITE.mkdir()
    (site.SITE / "index.html").write_text("before")
    (small / "filler").write_bytes(b"x" * max(shutil.disk_usage(small).free - room, 0))
    with fault("disk full, make site"):
        with pytest.raises(OSError) as error:
            site.render()
        assert in_words(error.value).startswith("There is no space left for build/site/ ")
        assert (site.SITE / "index.html").read_text() == "before"


# --- output that leads nowhere ---


NOWHERE = {  # redirections of the shell: the exit status of a command that ends well without, and what it says
    "check >/dev/full": (1, "There is no space left for what it writes (No space left on device): make room"),
    "check 1</dev/null": (1, "The output of this command leads to what cannot be written to."),
    "check >&-": (1, ""),
    "check <&- >&- 2>&-": (1, ""),
    "check >/dev/full 2>/dev/full": (1, ""),
    "nonsense 2>&-": (2, ""),
    "nonsense 2>/dev/full": (2, ""),
}


@pytest.mark.parametrize("words", NOWHERE)
def test_output_that_leads_nowhere_ends_in_one_sentence_or_none(tmp_path, fault, words):
    toy = Toy.build(tmp_path / "project")
    with fault("output that leads nowhere"):
        done = subprocess.run(
            ["sh", "-c", f'"$0" -m runner {words}', sys.executable], cwd=toy.folder, env=toy.environment(),
            capture_output=True, text=True,
        )  # fmt: skip
        status, sentence = NOWHERE[words]
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith(sentence) and len(done.stderr.splitlines()) == bool(sentence)


# --- no place for temporary files ---


def test_no_folder_for_temporary_files_is_one_sentence(monkeypatch, fault):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    with fault("no folder for temporary files"), pytest.raises(FileNotFoundError) as error:
        tempfile.TemporaryDirectory()
    assert "name one with the variable TMPDIR" in in_words(error.value)


# --- no permission ---


def test_in_a_read_only_folder_execute_says_so_and_check_works(tmp_path, fault):
    toy = Toy.build(tmp_path / "project")
    before = toy.published()
    toy.path("build/ready").mkdir(parents=True)  # as of a run that was killed while it published
    with fault("read-only folder"), mounted(toy.folder, "--bind", toy.folder, read_only=True):
        done = toy.run("execute")
        assert done.returncode == 1
        assert is_one_sentence(done.stderr) and "cannot be opened (Read-only file system)" in done.stderr
        checked = toy.run("check")
        assert (checked.returncode, checked.stderr) == (1, "") and "01_first: it has not been run" in checked.stdout
        assert toy.published() == before


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("read-only folder", "results cannot be opened ("),
        ("folder on another disk", " are on different disks, so that "),
    ],
)
def test_nothing_is_computed_for_a_folder_that_cannot_be_replaced_in(tmp_path, fault, kind, reason):
    toy = Toy.build(tmp_path / "project")
    results, is_protected = toy.path("results"), kind == "read-only folder"
    copy = shutil.copytree(results, tmp_path / "results")
    options = ("--bind", results) if is_protected else ("-t", "tmpfs", "none")
    with fault(kind), mounted(results, *options, read_only=is_protected):
        if not is_protected:
            shutil.copytree(copy, results, dirs_exist_ok=True)
        before = toy.published()
        done = toy.run("execute")
        assert done.returncode in (1, 2)
        assert is_one_sentence(done.stderr) and reason in done.stderr
        assert "code cell" not in done.stdout
        assert toy.published() == before


# --- no home ---


NOBODY = "import pwd; pwd.getpwuid = {}.__getitem__"


@pytest.mark.parametrize("home", [pytest.param("/proc/nowhere", **ONLY_FULL), None])
def test_execute_needs_no_home(tmp_path, fault, home):
    """home: a folder that is not there; or none, as of a user whom the system does not know."""
    toy = Toy.build(tmp_path / "project")
    if home is None:
        toy.path("sitecustomize.py").write_text(NOBODY)
    with fault("no home folder"):
        done = toy.run("execute", "CHAPTERS=1", HOME=home, XDG_CONFIG_HOME=home, XDG_CACHE_HOME=home)
        assert (done.returncode, done.stderr) == (0, "")


def test_data_is_looked_for_where_nobody_has_a_home(tmp_path, monkeypatch, fault):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.chdir(tmp_path)
    with fault("no home folder"):
        assert fetch._keras_folders()[1].is_absolute()
        monkeypatch.setenv("CIFAR10_DIR", "~/images")
        with pytest.raises(data.DataUnavailable, match="CIFAR10_DIR"):
            data.load_cifar10()
        assert list(tmp_path.iterdir()) == []  # no folder by the name of "~"


# --- no room for the environment ---


@pytest.mark.parametrize("asks", [True, False])
def test_no_room_for_the_environment(small, fault, asks):
    """asks: whether it looks first how much room there is; that alone may be wrong, under a quota for example."""
    bare_project(small)
    if asks:
        shutil.copy(PROJECT / "runner/environment.py", small / "runner")
    variables = clean_environment(small, CONDA_PREFIX=None, PYTHONPATH=None, PYTHON=sys.executable)
    for _ in range(2):  # what the first leaves must not look complete to the second
        with fault("no room for the environment"):
            command = ["/bin/sh", small / "runner/bootstrap.sh"]
            done = subprocess.run(command, cwd=small, env=variables, capture_output=True, text=True)
            assert done.returncode != 0 and done.stdout == ""
            told = [line for line in done.stderr.splitlines() if not line.startswith(("Building .venv", "Using "))]
            assert is_one_sentence("\n".join(told)) and "There is no space left for .venv" in told[0]
            assert not (small / ".venv" / "complete").exists()
    assert not (small / ".venv" / "bin").exists()
