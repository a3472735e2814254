"""What runs the chapters: a page is published whole or not at all, and proves that it is fresh."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile

import pytest
from jupyter_core import paths

from cifar_helpers import data, processor
from cifar_helpers.settings import Parameter
from runner import execute, project
from runner.chapters import BadRequest, all_chapters, as_text
from runner.execute import Run
from runner.integrity import require_as_made
from runner.publish import make_reproducible
from runner.settings import settings
from runner.studies import catalogue
from toy import PROJECT, Toy


@pytest.fixture(scope="module", autouse=True)
def without_long_things():
    """The toy has no long trainings, the images are there without a look at them, and nobody counts the packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "outdated", lambda *_: {})
        patch.setattr(data, "load_cifar10", lambda: None)
        patch.setattr(execute, "environment_size", lambda: 3.0)
        yield


@pytest.fixture(scope="module")
def executed(tmp_path_factory, without_long_things):
    toy = Toy.miniature(tmp_path_factory.mktemp("toy") / "project")
    done = toy.call("execute")
    assert done.returncode == 0, done.stderr
    toy.terminal = done.stdout
    return toy


@pytest.fixture
def toy(executed, tmp_path):
    return executed.copy(tmp_path / "project")


@pytest.fixture
def replayed(monkeypatch):
    """No kernel is started: a run shows what the page showed before, and writes the artefact it wrote.

    Returns a list of functions, called with a chapter and the folder for scratch while the chapter "runs".
    """
    events = []

    def papermill(chapter, scratch, run):
        print(f"{chapter.name}  code cell")
        for name in chapter.writes:
            (scratch / "artefacts" / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / "artefacts" / name).write_text("2\n")
        (scratch / "executed.ipynb").write_text(as_text(chapter.notebook))
        for event in events:
            event(chapter, scratch)
        return copy.deepcopy(chapter.notebook), 0.1

    monkeypatch.setattr(execute, "_papermill", papermill)
    return events


def without_timing(toy):
    page = toy.page("01_first")
    page["metadata"]["tutorial"].pop("timing")
    page["cells"] = [cell for cell in page["cells"] if "timing" not in cell["metadata"].get("tags", [])]
    return page


# --- publishing ---


def test_the_terminal_names_cells_and_ends_with_a_table_and_a_page_is_filled_in_and_holds_nothing_of_the_machine(
    executed,
):
    assert "01_first  code cell 3 of 6 (Doubling)" in executed.terminal
    assert executed.terminal.rstrip().splitlines()[-1].endswith("It read 2.")
    page = executed.page("01_first")
    assert "".join(page["cells"][1]["source"]) == "**Result.** The value is 2<!--value-->."
    assert re.match(r"\*\*Measured cost\.\*\* This page took .* GB of memory", page["cells"][2]["source"])
    made_on = page["metadata"]["tutorial"]["processor"]
    assert made_on == processor.chosen(processor.compute_type())
    assert [cell["execution_count"] for cell in page["cells"] if cell["cell_type"] == "code"] == [1, 2, 3, 4, 5, 6]
    text = json.dumps(page)
    assert str(executed.folder) not in text and "papermill" not in text
    assert "| [Chapter 1: First](notebooks/01_first.ipynb) | This chapter doubles. | The value is 2. | 0." in (
        executed.path("README.md").read_text()
    )


def test_two_runs_differ_in_seconds_only_whatever_is_exported_and_leave_no_variable_behind(toy, monkeypatch):
    for name in ("START", "DATA", "PROFILE", "CHAPTERS", "TUTORIAL_ARTEFACTS"):
        monkeypatch.setenv(name, "5")
    before, variables = without_timing(toy), dict(os.environ)
    assert toy.call("execute", "START=", "CHAPTERS=01").returncode == 0
    assert without_timing(toy) == before
    assert dict(os.environ) == variables


FIGURE = {"mystnb": {"image": {"alt": "A line that rises."}}}


@pytest.mark.parametrize(
    "reason, change",
    [
        ("ZeroDivisionError: division by zero", {"source": "1 / 0", "metadata": FIGURE}),
        ("it shows no figure, though its alt text", {"source": "value = 2", "metadata": FIGURE}),
    ],
)
def test_a_failing_chapter_changes_nothing_and_is_kept(toy, reason, change):
    toy.edit_page("01_first", lambda page: page["cells"][7].update(change))
    before = toy.published()
    done = toy.call("execute")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"01_first stopped in code cell 3 of 6 (Doubling): {reason}" in done.stderr
    assert toy.published() == before
    assert change["source"] in toy.path("build/failed/01_first.ipynb").read_text()


def test_a_finished_trainings_checkpoint_goes_when_the_whole_run_has_ended_and_its_time_counts(toy, replayed):
    def train(chapter, scratch):
        if chapter.number == "02":
            raise execute.ChapterFailed("02_second stopped.")
        (scratch / "finished" / "chain").write_text("1000")

    chain = toy.path("build/checkpoints/chain")
    chain.mkdir(parents=True)
    replayed.append(train)
    # Chapter 1 is published, but the run has to be repeated.
    assert toy.call("execute").returncode == 1 and chain.exists()
    assert toy.call("execute", "CHAPTERS=01").returncode == 0 and not chain.exists()
    assert toy.page("01_first")["metadata"]["tutorial"]["timing"]["seconds"] >= 1000


def test_a_second_run_in_the_same_folder_is_refused(toy, monkeypatch):
    monkeypatch.setattr(project, "PATIENCE", 0)
    with project.Project(toy.folder).only_one():
        done = toy.call("execute")
    assert done.returncode == 2 and "being executed in this folder already" in done.stderr


# --- settings ---


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("execute SATRT=3", "SATRT is not a setting of make execute; there are CHAPTERS, DATA, LIMIT, PROFILE, START."),
        ("execute --fast", "--fast is not a setting of make execute; there are CHAPTERS, DATA, LIMIT, PROFILE, START."),
        ("execute RUNS=a", "RUNS is not a setting of make execute; there are CHAPTERS, DATA, LIMIT, PROFILE, START."),
        ("execute START=0", "START=0: expected a whole number from 1 to 100."),
        ("execute START=many", "START=many: expected a whole number from 1 to 100."),
        ("execute PROFILE=fast", "PROFILE=fast: expected one of full, quick."),
        ("execute DATA=cifar100", "DATA=cifar100: expected one of cifar10, stand-in."),
        ("execute CHAPTERS=07", "CHAPTERS=07: there is no chapter 07 in notebooks/chapters.txt, only 01, 02."),
        ("refresh START=5", "START is not a setting of make refresh; there are CHAPTERS."),
        ("study START=5", "START is not a setting of make study; there are RUNS."),
        ("check START=5", "START is not a setting of make check; it takes none."),
        ("exceute", "There is no command exceute; there are execute, refresh, check, study, bench, predict."),
    ],
)
def test_what_is_unknown_or_impossible_is_refused_before_anything_runs(executed, command, sentence):
    done = executed.call(*command.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{sentence}\n")


def test_help_lists_commands_and_what_they_take(toy, capsys):
    assert "execute|refresh|check|study|bench" in toy.call("--help").stdout
    with pytest.raises(SystemExit, match="0"):
        settings("execute", ["--help"], Parameter("START = 1  # where to begin [1..100]"))
    assert "  START         where to begin [1..100]\n" in capsys.readouterr().out


def test_other_settings_publish_nothing_and_reach_the_chapter(toy, monkeypatch):
    """From a page of whatever kernel, and on a disk where all files are everybody's, as those of Windows are."""
    note = "import os, pathlib; pathlib.Path(os.environ['TUTORIAL_FINISHED'], 'chain').write_text('1000')"
    toy.edit_cell("01_first", "print('value', value)", f"print('value', value)\n{note}")
    toy.edit_page("01_first", lambda page: page["metadata"].update(kernelspec={"name": "ir", "display_name": "R"}))
    modes, insecure = paths.get_file_mode, str(toy.folder)
    monkeypatch.setattr(paths, "get_file_mode", lambda name: 0o777 if name.startswith(insecure) else modes(name))
    monkeypatch.setattr(tempfile, "tempdir", insecure)
    before = toy.published()
    done = toy.call("execute", "START=5", "PROFILE=quick", "CHAPTERS=1")
    assert done.returncode == 0, done.stderr
    assert "01_first  code cell" in done.stdout and "02_second" not in done.stdout
    assert toy.published() == before
    page = json.loads(toy.path("build/quick+START=5/01_first.ipynb").read_text())
    assert "".join(page["cells"][1]["source"]) == "**Result.** The value is 10<!--value-->."
    assert page["metadata"]["kernelspec"]["name"] == "python3"
    assert page["metadata"]["tutorial"]["timing"]["seconds"] > 1000
    assert toy.path("build/quick+START=5/results/value.json").read_text() == "10\n"


@pytest.mark.parametrize(
    ("given", "folder", "injected"),
    [
        (["TRAIN=True"], "", {"TRAIN": True}),  # as the profile has it
        (["TRAIN=False"], "build/full+TRAIN=False", {}),
        (["PROFILE=quick"], "build/quick", {"TRAIN": True, "EPOCHS": 2, "LIMIT": 300}),
        (["PROFILE=quick", "EPOCHS=15", "LIMIT=300"], "build/quick+EPOCHS=15", {"TRAIN": True, "LIMIT": 300}),
        (["DATA=stand-in", "LIMIT=0"], "build/stand-in+LIMIT=0", {"TRAIN": True, "EPOCHS": 2, "DATA": "stand-in"}),
    ],
)
def test_what_is_asked_for_comes_before_the_profile(toy, monkeypatch, given, folder, injected):
    parameters = "\nTRAIN = False  # train here [True | False]\nEPOCHS = 15  # passes [1..99]"
    toy.edit_cell("01_first", "\nSTART = 1", f"{parameters}\nSTART = 1")
    monkeypatch.setattr(execute, "execute_one", lambda chapter, run: runs.append(run) or (chapter, {}))
    runs = []
    assert toy.call("execute", "CHAPTERS=1", *given).returncode == 0
    [run] = runs
    assert run.root == toy.folder / folder and run.is_published == (not folder)
    [chapter] = [chapter for chapter in all_chapters(toy.project) if chapter.number == "01"]
    assert run.parameters(chapter) == injected


def test_where_no_folder_keeps_others_out_no_kernel_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "get_file_mode", lambda _: 0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BadRequest, match="name one that does with the variable TMPDIR.$"):
        execute._private_place()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_artefact_runs_its_chapter_first(toy, replayed):
    toy.path("results/value.json").unlink()
    done = toy.call("execute", "CHAPTERS=02")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("01_first  code cell") < done.stdout.index("02_second  code cell")


def test_without_data_the_stand_in_is_used_and_said_unless_they_were_asked_for(toy, replayed, monkeypatch):
    def missing():
        raise data.DataUnavailable("There is no CIFAR-10 here.")

    monkeypatch.setattr(data, "load_cifar10", missing)
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    before = toy.published()
    done = toy.call("execute", "CHAPTERS=1")
    assert done.returncode == 0
    assert "There is no CIFAR-10 here." in done.stdout and "mean nothing for CIFAR-10" in done.stdout
    assert toy.path("build/stand-in/01_first.ipynb").exists()
    done = toy.call("execute", "DATA=cifar10")
    assert (done.returncode, done.stderr) == (2, "There is no CIFAR-10 here.\n")
    assert toy.published() == before


# --- freshness ---


def test_fresh_pages_pass_and_refresh_changes_no_byte(toy):
    before = toy.published()
    assert toy.call("check").returncode == 0
    assert toy.call("refresh").stdout == "All 2 pages are fresh.\n"
    assert toy.published() == before


def _with_points(cell):
    """The cell as an editor saves it that writes 2.0 for 2."""
    return json.loads(json.dumps(cell), parse_int=float)


def test_what_cannot_change_a_result_may_be_edited(toy):
    toy.edit_cell("01_first", "# the work", "# hard work")
    toy.edit_cell("01_first", "# how many [0..50000]", "# only so many [0 | 300..50000]")
    toy.edit_cell("01_first", "## Doubling", "## Twice")
    toy.edit_file("cifar_helpers/inner.py", "# added", "# zero")
    toy.edit_file("cifar_helpers/double.py", "Twice the value", "Its double")
    toy.edit_page("01_first", lambda page: page["cells"][9]["outputs"][0].update(text="0.0"))  # it shows time
    toy.edit_page("01_first", lambda page: page["cells"][10].update(_with_points(page["cells"][10])))
    done = toy.call("check")
    assert done.returncode == 0, done.stdout


STALE = {
    "a cell": (
        lambda toy: toy.edit_cell("01_first", "double(START)", "double(START) + 1"),
        "01_first: a code cell was edited",
    ),
    "a helper": (
        lambda toy: toy.edit_file("cifar_helpers/double.py", "2 * value", "3 * value"),
        "01_first: double.double was edited.",
    ),
    "a helper's helper": (
        lambda toy: toy.edit_file("cifar_helpers/inner.py", "NOTHING = 0", "NOTHING = 1"),
        "01_first: inner.NOTHING was edited.",
    ),
    "an output": (
        lambda toy: toy.edit_page("01_first", lambda page: page["cells"][7]["outputs"][0].update(text="value 3\n")),
        "01_first: an output was edited",
    ),
    "the result sentence": (
        lambda toy: toy.edit_cell("01_first", "The value is 2<!--value-->.", "The value is 9<!--value-->."),
        "01_first: value in cell 2 is 9 on the page, and 2 was stated.",
    ),
    "the cost sentence": (
        lambda toy: toy.edit_cell("01_first", "This page took", "This page only took"),
        "01_first: its cost sentence was edited",
    ),
    "an artefact": (
        lambda toy: toy.path("results/value.json").write_text("3"),
        "02_second: results/value.json is not the one it was made with",
    ),
    "a missing artefact": (
        lambda toy: toy.path("results/value.json").unlink(),
        "02_second: results/value.json is missing",
    ),
    "a locked version": (
        lambda toy: toy.edit_file("requirements.lock", "\nnumpy==", "\nnumpy==9."),
        "01_first: numpy is locked at 9.",
    ),
    "the README's table": (
        lambda toy: toy.edit_file("README.md", "The value is 2.", "The value is 9."),
        "README.md: its table of results is not what the pages say",
    ),
    "a quick page": (
        lambda toy: toy.edit_page("01_first", lambda page: page["metadata"]["tutorial"].update(profile="quick")),
        "01_first: it is a quick page, not a full one",
    ),
    "a page that never ran": (
        lambda toy: toy.edit_page("01_first", lambda page: page["metadata"].pop("tutorial")),
        "01_first: it has not been run",
    ),
    "a read result that was edited": (
        lambda toy: toy.path("results/runs/long-seed0.json").write_text("[]\n"),
        "02_second: results/runs/long-seed0.json is not the one it was made with",
    ),
    "a read result that was deleted": (
        lambda toy: toy.path("results/runs/long-seed0.json").unlink(),
        "02_second: results/runs/long-seed0.json is not the one it was made with",
    ),
    "a stamp without data": (
        lambda toy: toy.edit_page("02_second", lambda page: page["metadata"]["tutorial"].pop("data")),
        "02_second: its stamp is damaged.",
    ),
    "a stamp with other reads": (
        lambda toy: toy.edit_page("02_second", lambda page: page["metadata"]["tutorial"].update(reads=None)),
        "02_second: its stamp is damaged.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", STALE)
def test_a_stale_page_is_named(toy, change):
    edit, sentence = STALE[change]
    edit(toy)
    done = toy.call("check")
    assert (done.returncode, done.stderr) == (1, "")
    assert sentence in done.stdout


def test_refresh_runs_the_stale_page_and_what_depends_on_it(toy):
    toy.edit_cell("01_first", "double(START)", "double(START) + 1")
    toy.edit_file("README.md", "The value is 2.", "The value is 9.")
    done = toy.call("refresh")
    assert done.returncode == 0, done.stderr
    assert "02_second is stale: results/value.json is not the one it was made with." in done.stdout
    assert toy.call("check").returncode == 0


def test_refresh_makes_a_damaged_artefact_anew_and_stops_where_nothing_changes(toy, replayed):
    before = toy.published()
    toy.path("results/value.json").write_text("{")
    done = toy.call("refresh", "CHAPTERS=01")
    assert done.returncode == 0 and "1 of 1 pages were stale." in done.stdout
    assert toy.published()["results/value.json"] == before["results/value.json"]
    assert toy.call("refresh").stdout == "All 2 pages are fresh.\n"


def test_what_a_page_uses_and_is_edited_while_it_runs_makes_it_stale(toy, replayed):
    replayed.append(lambda *_: toy.edit_file("cifar_helpers/inner.py", "NOTHING = 0", "NOTHING = 5"))
    assert toy.call("execute", "CHAPTERS=01").returncode == 0
    assert "inner.NOTHING was edited" in toy.call("check").stdout


def test_a_page_that_is_edited_while_another_runs_is_executed_as_it_is_then(toy, replayed):
    def edit(chapter, scratch):
        if chapter.number == "01":
            toy.edit_cell("02_second", "This chapter reads.", "This chapter reads on.")

    replayed.append(edit)
    assert toy.call("execute").returncode == 0
    assert "This chapter reads on." in toy.path("notebooks/02_second.ipynb").read_text()


LATE = {
    "it was edited or moved while it ran": lambda toy, scratch: toy.edit_cell("01_first", "## Doubling", "## Edited"),
    "it was edited or moved": lambda toy, scratch: toy.path("notebooks/01_first.ipynb").unlink(),
    "results/value.json was not written": lambda toy, scratch: (scratch / "artefacts/results/value.json").unlink(),
    "BadZipFile: File is not a zip file": lambda toy, scratch: (scratch / "artefacts/a.keras").write_text("half"),
}


@pytest.mark.parametrize("reason", LATE)
def test_what_shows_only_after_the_last_cell_loses_no_page(toy, replayed, reason):
    replayed.append(lambda _, scratch: LATE[reason](toy, scratch))
    before = toy.published()
    done = toy.call("execute", "CHAPTERS=01")
    assert done.returncode == 1 and f"01_first stopped after its last cell: {reason}" in done.stderr
    assert "value 2" in toy.path("build/failed/01_first.ipynb").read_text()
    assert toy.published()["results/value.json"] == before["results/value.json"]


def test_a_saved_model_is_the_same_file_wherever_its_objects_were_in_memory(tmp_path):
    for name, first, second, date in [("a.keras", 140583609480592, 7, "today"), ("b.keras", 3, 140583609480592, "now")]:
        config = {name: {"shared_object_id": number} for name, number in {"x": first, "y": second, "z": first}.items()}
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"date_saved": date}))
            archive.writestr("config.json", json.dumps(config))
        make_reproducible(tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert [part["shared_object_id"] for part in json.loads(archive.read("config.json")).values()] == [0, 1, 0]


# --- results that come one by one ---


def test_a_new_result_is_named_where_it_belongs_and_makes_no_page_stale(toy):
    toy.path("results/runs/other-seed0.json").write_text("{}\n")
    assert "does not show" not in toy.call("check").stdout
    toy.path("results/runs/long-seed1.json").write_text("{}\n")
    done = toy.call("check")
    assert done.returncode == 0
    assert "02_second does not show results/runs/long-seed1.json yet" in done.stdout


def test_an_outdated_result_stops_the_chapters_that_read_it_before_anything_runs(toy, monkeypatch):
    toy.edit_cell("02_second", "trainings = sorted(", "name = 'long'; trainings = sorted(")
    monkeypatch.setattr(
        catalogue, "outdated", lambda _: {"results/runs/long-seed0.json": "its recipe has changed since"}
    )
    done = toy.call("execute", "CHAPTERS=02")
    assert done.returncode == 2 and "code cell" not in done.stdout
    assert done.stderr == (
        "02_second reads results/runs/long-seed0.json, but its recipe has changed since: run `make study` first.\n"
    )


def test_a_model_that_is_not_as_made_stops_the_chapters_that_read_it_before_anything_runs(toy):
    toy.path("models").mkdir()
    toy.path("models/a.keras").write_bytes(b"weights")
    require_as_made(toy.project, "models/a.keras")  # nothing says what it must be
    toy.path("results/runs/long-seed0.json").write_text('{"writes": {"models/a.keras": "another digest"}}')
    toy.edit_cell("02_second", "trainings = sorted(", "artefacts.published('models/a.keras'); trainings = sorted(")
    done = toy.call("execute")
    assert done.returncode == 2 and "code cell" not in done.stdout
    assert done.stderr == (
        "models/a.keras is not the file that was made with its page: restore it from git, or run `make execute`.\n"
    )
    toy.path("models/a.keras").unlink()
    assert toy.call("execute").stderr == "models/a.keras is missing: it comes with the project; restore it from git.\n"


def test_a_model_that_a_run_makes_itself_is_not_looked_at_before(toy):
    toy.path("models").mkdir()
    toy.path("models/a.keras").write_bytes(b"weights")
    toy.edit_page("01_first", lambda page: page["metadata"]["tutorial"]["writes"].update({"models/a.keras": "another"}))
    toy.edit_cell("01_first", "print('value', value)", "artefacts.write('models/a.keras')")
    toy.edit_cell("02_second", "trainings = sorted(", "artefacts.read('models/a.keras'); trainings = sorted(")
    chapters = all_chapters(toy.project)
    execute._require(chapters, Run(toy.project))
    with pytest.raises(execute.publish.BadRequest, match="is not the file that was made with its page"):
        execute._require(chapters[1:], Run(toy.project))


# --- damage ---


def test_a_reader_who_has_seen_enough_ends_it_quietly():
    """As `make check | head` does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "--help"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE


def code(number, **change):
    """Change a cell of the last chapter."""
    return lambda toy: toy.edit_page("02_second", lambda page: page["cells"][number].update(change))


PAGE = "notebooks/01_first.ipynb"
DAMAGE = {
    "half a page": (
        lambda toy: toy.path(PAGE).write_bytes(toy.path(PAGE).read_bytes()[:900]), f"{PAGE} is not whole: restore it",
    ),
    "bytes that are no text": (
        lambda toy: toy.path(PAGE).write_bytes(b"\xff\xfe\x00"), f"{PAGE} is not whole: restore it",
    ),
    "a list": (lambda toy: toy.path(PAGE).write_text("[]"), "01_first.ipynb is not a notebook: restore it"),
    "a page without outputs": (
        lambda toy: toy.edit_page("01_first", lambda page: page["cells"][7].pop("outputs")),
        "01_first.ipynb is not a notebook: restore it",
    ),
    "tags that are none": (
        lambda toy: toy.edit_page("01_first", lambda page: page["cells"][7]["metadata"].update(tags=None)),
        "01_first.ipynb is not a notebook: restore it",
    ),
    "an alt text that is none": (code(4, metadata={"mystnb": None}), "02_second.ipynb is not a notebook: restore it"),
    "an id that is no text, in execute": (code(3, id=[]), "02_second.ipynb is not a notebook ("),
    "an id that is none, in execute": (code(3, id="a b"), "02_second.ipynb is not a notebook ('a b' does not match"),
    "a text that is none, in execute": (code(2, source="\ud800"), "02_second.ipynb is not a notebook ('utf-8' codec"),
    "a chapter that somebody renamed": (
        lambda toy: toy.path(PAGE).rename(toy.path("notebooks/my.ipynb")), f"{PAGE} is missing: restore it from git",
    ),
    "no list of chapters": (
        lambda toy: toy.path("notebooks/chapters.txt").unlink(), "notebooks/chapters.txt is damaged or missing",
    ),
    "an empty list of chapters": (
        lambda toy: toy.path("notebooks/chapters.txt").write_text("# none\n"), "lists no chapter: restore it from git.",
    ),
    "a folder in the way, in execute": (
        lambda toy: (toy.path("results/value.json").unlink(), toy.path("results/value.json").mkdir()),
        "results/value.json is in the way of what is to be written: move it.",
    ),
    "a file in the way, in execute": (
        lambda toy: (shutil.rmtree(toy.path("results")), toy.path("results").touch()),
        "results is in the way of what is to be written: move it.",
    ),
    "no result to read, in execute": (
        lambda toy: toy.edit_cell("02_second", "published('results/runs')", "published('results/x.json')"),
        "results/x.json is damaged or missing",
    ),
    "a helper that is no Python": (
        lambda toy: toy.edit_file("cifar_helpers/inner.py", "NOTHING = 0", "NOTHING = "),
        "cifar_helpers/inner.py is not Python (invalid syntax, line 1).",
    ),
    "a cell that is no Python": (
        lambda toy: toy.edit_cell("01_first", "value = double(START)  # the work", "%time value = 2"),
        "01_first: a code cell is not Python (invalid syntax): %time value = 2",
    ),
    "no README": (lambda toy: toy.path("README.md").unlink(), "restore it from git"),
    "a lock that is no text, in check": (
        lambda toy: toy.path("requirements.lock").write_bytes(b"\xff"), "restore it from git",
    ),
    "a folder for a page": (
        lambda toy: (toy.path(PAGE).unlink(), toy.path(PAGE).mkdir()), f"{PAGE} is missing: restore it from git",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind, command",
    [
        (kind, command)
        for kind in DAMAGE
        for command in ("check", "execute")
        if f"in {command}" in kind or ", in " not in kind
    ],
)
def test_what_is_damaged_is_one_sentence(toy, kind, command):
    damage, sentence = DAMAGE[kind]
    damage(toy)
    done = toy.call(command)
    assert done.returncode == 2 and sentence in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_what_else_lies_in_the_folders_is_left_alone(toy):
    """As the folders that JupyterLab makes when a file in them is saved, its copies, and what learners try."""
    before, notebooks = toy.published(), toy.path("notebooks")
    (notebooks / "solutions").mkdir()
    for folder in ("results/runs", "notebooks", "notebooks/solutions"):
        toy.path(f"{folder}/.ipynb_checkpoints").mkdir()
    for name in ("01_first-Copy1.ipynb", "01_first.ipynb~", "solutions/01_first.ipynb", "Untitled.ipynb"):
        (notebooks / name).write_bytes(before[PAGE])
    own = {"cells": [{"cell_type": "code", "metadata": {}, "source": "!ls", "outputs": []}], "metadata": {}}
    (notebooks / "03_mine.ipynb").write_text(json.dumps(own))
    (notebooks / "04_mine.ipynb").write_text("{")
    (notebooks / "05_mine.ipynb").mkdir()
    (notebooks / "06_mine.ipynb").symlink_to("nowhere")
    (notebooks / "07_mine.ipynb").touch(0)
    lying = toy.published()
    assert [toy.call(command).stdout for command in ("check", "refresh")] == ["All 2 pages are fresh.\n"] * 2
    assert toy.published() == lying and lying.items() >= before.items()


def old_and_foreign(page):
    page.update(nbformat_minor=0, metadata={"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}})
    for number, cell in enumerate(page["cells"]):
        cell.pop("execution_count", None)
        cell.pop("id") if number % 2 else cell.update(id="same")
    injected = {"cell_type": "code", "metadata": {"tags": [execute.INJECTED]}, "source": "START = 50", "outputs": []}
    page["cells"].insert(6, injected)


def test_what_kernels_editors_and_earlier_runs_left_in_a_page_is_gone_before_its_first_cell(toy):
    [chapter, _] = all_chapters(toy.project)
    clean = json.loads(execute._prepared(chapter))
    toy.edit_page("01_first", old_and_foreign)
    toy.path(PAGE).write_bytes(b"\xef\xbb\xbf" + toy.path(PAGE).read_bytes().replace(b"\n", b"\r\n"))
    prepared = json.loads(execute._prepared(all_chapters(toy.project)[0]))
    ids = [cell.pop("id") for cell in prepared["cells"]]
    assert len(set(ids)) == len(ids) == len([cell.pop("id") for cell in clean["cells"]])
    assert prepared == clean
    assert not any(cell.get("outputs") for cell in clean["cells"])


@pytest.mark.parametrize("content", [b"", b"[]", b"0", b"{"])
def test_a_publication_that_was_damaged_leaves_what_was_published(toy, content):
    before = toy.published()
    toy.path("build/ready/notebooks").mkdir(parents=True)
    toy.path("build/ready/notebooks/01_first.ipynb").write_text("new")
    toy.path("build/ready/before.json").write_bytes(content)
    done = toy.call("check")
    assert done.returncode == 0 and done.stderr == ""
    assert toy.published() == before and not toy.path("build/ready").exists()


# --- what lies beside the records ---


def test_a_copy_of_a_record_would_count_as_one_and_is_named(toy, replayed):
    toy.path("results/runs/long-seed0-Copy1.json").write_text("{}\n")
    toy.path("results/runs/._long-seed0.json").write_bytes(b"\0\5")
    done = toy.call("execute")
    sentence = "results/runs/long-seed0-Copy1.json would count as one more training: move it elsewhere.\n"
    assert done.returncode == 2 and done.stderr == sentence
    toy.path("results/runs/long-seed0-Copy1.json").unlink()
    assert toy.call("execute", "CHAPTERS=02").returncode == 0
    read = toy.page("02_second")["metadata"]["tutorial"]["reads"]["results/runs"]
    assert read.keys() == {"long-seed0.json"}
