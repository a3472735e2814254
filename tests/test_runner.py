"""What runs the chapters: a page is published whole or not at all, and proves that it is fresh."""

import json
import signal
import subprocess
import time
import zipfile

import pytest
from runner import results
from runner.chapters import Chapter
from runner.execute import Run, make_reproducible
from toy import Toy


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    toy = Toy.build(tmp_path_factory.mktemp("toy") / "project")
    done = toy.run("execute")
    assert done.returncode == 0, done.stderr
    toy.terminal = done.stdout
    return toy


@pytest.fixture
def toy(executed, tmp_path):
    return executed.copy(tmp_path / "project")


def without_timing(toy):
    pages = {}
    for name in ("01_first", "02_second"):
        page = toy.page(name)
        page["metadata"]["tutorial"].pop("timing")
        page["cells"] = [cell for cell in page["cells"] if "timing" not in cell["metadata"].get("tags", [])]
        pages[name] = page
    return pages


# --- publishing ---


def test_the_terminal_names_cells_and_ends_with_a_table(executed):
    assert "01_first  code cell 3 of 6 (Doubling)" in executed.terminal
    assert executed.terminal.rstrip().splitlines()[-1].endswith("It read 2.")


def test_a_page_is_filled_in_and_holds_nothing_of_the_machine(executed):
    page = executed.page("01_first")
    assert page["cells"][1]["source"] == "**Result.** The value is 2."
    assert page["cells"][2]["source"].startswith("**Measured cost.** This page took ")
    counts = [cell["execution_count"] for cell in page["cells"] if cell["cell_type"] == "code"]
    assert counts == [1, 2, 3, 4, 5, 6]
    text = json.dumps(page)
    assert str(executed.folder) not in text
    assert "papermill" not in text


def test_the_readme_gets_the_table(executed):
    text = executed.path("README.md").read_text()
    assert "| [Chapter 1: First](notebooks/01_first.ipynb) | This chapter doubles. | The value is 2. |" in text


def test_two_runs_differ_in_seconds_only(toy):
    before = without_timing(toy)
    assert toy.run("execute").returncode == 0
    assert without_timing(toy) == before


def test_a_failing_chapter_changes_nothing_and_is_kept(toy):
    toy.edit_cell("01_first", "print('value', value)", "print('value', value / 0)")
    before = toy.published()
    done = toy.run("execute")
    assert done.returncode == 1
    assert "01_first stopped in code cell 3 of 6 (Doubling): ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    assert toy.published() == before
    assert "ZeroDivisionError" in toy.path("build/failed/01_first.ipynb").read_text()


def test_a_finished_trainings_checkpoint_goes_when_the_whole_run_has_ended_and_its_time_counts(toy):
    training = (
        "\nimport os, pathlib\nchain = pathlib.Path(os.environ['TUTORIAL_CHECKPOINTS'], 'chain')"
        "\nchain.mkdir(parents=True, exist_ok=True)"
        "\npathlib.Path(os.environ['TUTORIAL_FINISHED'], chain.name).write_text('1000')"
    )
    toy.edit_cell("01_first", "print('value', value)", f"print('value', value){training}")
    chain = toy.path("build/checkpoints/chain")
    toy.edit_cell("01_first", "print(time.time())", "1 / 0")
    assert toy.run("execute", "CHAPTERS=01").returncode == 1 and chain.exists()
    toy.edit_cell("01_first", "1 / 0", "print(time.time())")
    assert toy.run("execute", "CHAPTERS=02").returncode == 0 and chain.exists()
    toy.edit_cell("02_second", "say(f'It", "1 / 0; say(f'It")
    assert toy.run("execute").returncode == 1 and chain.exists()  # chapter 1 is published, but the run has to be repeated
    toy.edit_cell("02_second", "1 / 0; ", "")
    assert toy.run("execute").returncode == 0 and not chain.exists()
    assert 1000 < toy.page("01_first")["metadata"]["tutorial"]["timing"]["seconds"] < 1120


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_changes_nothing(toy, signum):
    toy.edit_cell("01_first", "print('value', value)", "print('value', value); time.sleep(60)")
    before = toy.published()
    process = subprocess.Popen(
        toy.command("execute"), cwd=toy.folder, env=toy.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background may have had SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("value"):
            break
    process.send_signal(signum)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert toy.published() == before


def test_a_second_run_in_the_same_folder_is_refused(toy):
    toy.edit_cell("01_first", "print('value', value)", "print('value', value); time.sleep(60)")
    process = subprocess.Popen(
        toy.command("execute"), cwd=toy.folder, env=toy.environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdout.readline()
        time.sleep(0.1)
        second = toy.run("execute")
        assert second.returncode == 2
        assert "being executed in this folder already" in second.stderr
    finally:
        process.kill()
        process.communicate()


# --- settings ---


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("SATRT=3", "SATRT is not a setting"),
        ("START=0", "START=0: expected a whole number from 1 to 100."),
        ("START=many", "START=many: expected a whole number"),
        ("PROFILE=fast", "PROFILE=fast: expected full or quick."),
        ("DATA=cifar100", "DATA=cifar100: expected one of cifar10, stand-in."),
        ("CHAPTERS=07", "there is no chapter 07, only 01, 02."),
    ],
)
def test_what_is_unknown_or_impossible_is_refused_before_anything_runs(executed, setting, sentence):
    done = executed.run("execute", setting)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("setting", "folder"),
    [("START=5", "full+START=5"), ("PROFILE=quick", "quick"), ("DATA=stand-in", "stand-in")],
)
def test_other_settings_publish_nothing(toy, setting, folder):
    before = toy.published()
    done = toy.run("execute", setting)
    assert done.returncode == 0, done.stderr
    assert toy.published() == before
    assert toy.path(f"build/{folder}/01_first.ipynb").exists()
    assert toy.path(f"build/{folder}/results/value.json").exists()


def test_a_parameter_reaches_the_chapter(toy):
    toy.run("execute", "START=5")
    assert "The value is 10." in toy.path("build/full+START=5/01_first.ipynb").read_text()


def test_chapters_restricts(toy):
    done = toy.run("execute", "CHAPTERS=2")
    assert "02_second" in done.stdout
    assert "01_first  code cell" not in done.stdout


def test_a_missing_artefact_runs_its_chapter_first(toy):
    toy.path("results/value.json").unlink()
    done = toy.run("execute", "CHAPTERS=02")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("01_first  code cell") < done.stdout.index("02_second  code cell")


def test_without_data_the_stand_in_is_used_and_said(toy):
    before = toy.published()
    done = toy.run("execute", TOY_WITHOUT_DATA="1")
    assert done.returncode == 0
    assert "There is no CIFAR-10 here." in done.stdout
    assert "mean nothing for CIFAR-10" in done.stdout
    assert toy.published() == before


def test_insisting_on_the_data_makes_their_absence_an_error(toy):
    done = toy.run("execute", "DATA=cifar10", TOY_WITHOUT_DATA="1")
    assert done.returncode == 2
    assert done.stderr == "There is no CIFAR-10 here.\n"


# --- freshness ---


def test_fresh_pages_pass_and_refresh_changes_no_byte(toy):
    before = toy.published()
    assert toy.run("check").returncode == 0
    assert toy.run("refresh").stdout == "All 2 pages are fresh.\n"
    assert toy.published() == before


HARMLESS = {
    "a comment in a cell": lambda toy: toy.edit_cell("01_first", "# the work", "# hard work"),
    "prose": lambda toy: toy.edit_cell("01_first", "## Doubling", "## Twice"),
    "a comment in a helper": lambda toy: toy.edit_file("cifar_helpers/inner.py", "# added", "# zero"),
    "a docstring": lambda toy: toy.edit_file("cifar_helpers/double.py", "Twice the value", "Its double"),
    "an output that shows time": lambda toy: toy.edit_page(
        "01_first", lambda page: page["cells"][9]["outputs"][0].update(text="0.0")
    ),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_what_cannot_change_a_result_may_be_edited(toy, change):
    HARMLESS[change](toy)
    done = toy.run("check")
    assert done.returncode == 0, done.stdout


def put_into_notebooks(toy, setting, folder):
    toy.run("execute", setting)
    toy.path(f"build/{folder}/01_first.ipynb").replace(toy.path("notebooks/01_first.ipynb"))


STALE = {
    "a cell": (
        lambda toy: toy.edit_cell("01_first", "double(START)", "double(START) + 1"),
        "01_first: a code cell was edited",
    ),
    "a helper": (
        lambda toy: toy.edit_file("cifar_helpers/double.py", "2 * value", "3 * value"),
        "01_first: cifar_helpers/double.py was edited",
    ),
    "a helper's helper": (
        lambda toy: toy.edit_file("cifar_helpers/inner.py", "NOTHING = 0", "NOTHING = 1"),
        "01_first: cifar_helpers/inner.py was edited",
    ),
    "an output": (
        lambda toy: toy.edit_page("01_first", lambda page: page["cells"][7]["outputs"][0].update(text="value 3\n")),
        "01_first: an output was edited",
    ),
    "the result sentence": (
        lambda toy: toy.edit_cell("01_first", "**Result.** The value is 2.", "**Result.** The value is 9."),
        "01_first: its result sentence was edited",
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
        lambda toy: put_into_notebooks(toy, "PROFILE=quick", "quick"),
        "01_first: it is a quick page, not a full one",
    ),
    "a stand-in page": (
        lambda toy: put_into_notebooks(toy, "DATA=stand-in", "stand-in"),
        "01_first: it is a stand-in page, not a full one",
    ),
    "a page that never ran": (
        lambda toy: toy.edit_page("01_first", lambda page: page["metadata"].pop("tutorial")),
        "01_first: it has not been run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", STALE)
def test_a_stale_page_is_named(toy, change):
    edit, sentence = STALE[change]
    edit(toy)
    done = toy.run("check")
    assert done.returncode == 1
    assert sentence in done.stdout


def test_refresh_runs_the_stale_page_and_what_depends_on_it(toy):
    toy.edit_cell("01_first", "double(START)", "double(START) + 1")
    done = toy.run("refresh")
    assert done.returncode == 0, done.stderr
    assert "02_second is stale: results/value.json is not the one it was made with." in done.stdout
    assert toy.run("check").returncode == 0


def test_refresh_mends_the_readmes_table(toy):
    before = toy.published()
    toy.edit_file("README.md", "The value is 2.", "The value is 9.")
    assert toy.run("refresh").returncode == 0
    assert toy.published() == before


def test_help_says_what_there_is(toy):
    assert "execute|refresh|check|study|bench" in toy.run("--help").stdout


def test_refresh_stops_where_nothing_changes(toy):
    toy.edit_cell("01_first", "double(START)", "double(START) + 0")
    done = toy.run("refresh")
    assert "01_first is stale" in done.stdout
    assert "02_second is stale" not in done.stdout


def test_a_helper_edited_during_the_run_makes_the_page_stale(toy):
    toy.edit_cell(
        "01_first",
        "print('value', value)",
        "print('value', value)\nfrom pathlib import Path\nhelper = artefacts.PROJECT / 'cifar_helpers/inner.py'\n"
        "helper.write_text('NOTHING = 5')",
    )
    assert toy.run("execute").returncode == 0
    assert "cifar_helpers/inner.py was edited" in toy.run("check").stdout


def test_a_chapter_edited_during_the_run_is_not_overwritten(toy):
    toy.edit_cell(
        "01_first",
        "print('value', value)",
        "page = artefacts.PROJECT / 'notebooks/01_first.ipynb'\n"
        "page.write_text(page.read_text().replace('## Doubling', '## Edited'))",
    )
    done = toy.run("execute", "CHAPTERS=01")
    assert done.returncode == 1
    assert "it was edited while it ran" in done.stderr
    assert "## Edited" in toy.path("notebooks/01_first.ipynb").read_text()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"TYPE": "float32"}, True), ({"COMPUTE": "plain"}, True), ({"TYPE": "bfloat16"}, False), ({}, False)],
)
def test_only_the_published_run_with_float32_forced_counts_as_one(changes, expected):
    assert Run("full", "cifar10", changes).in_float32 == expected
    assert not Run("quick", "cifar10", changes).in_float32


def test_a_run_in_float32_is_shown_beside_the_other(executed, monkeypatch, tmp_path):
    page = Chapter(executed.path("notebooks/01_first.ipynb"), executed.folder / "notebooks")
    page.notebook["metadata"][results.KEY]["helpers"]["cost"] = "a digest"  # as if it chose its type
    monkeypatch.setattr(results, "NOTEBOOKS", page.path.parent)
    monkeypatch.setattr(results, "FLOAT32", tmp_path / "float32.json")
    assert results.readme_table([page]).splitlines()[2].endswith("| not measured |")
    (tmp_path / "float32.json").write_text('{"01_first": {"seconds": 90}}')
    assert results.readme_table([page]).splitlines()[2].endswith("| 1.5 |")


def test_a_saved_model_is_the_same_file_wherever_its_objects_were_in_memory(tmp_path):
    for name, first, second, date in [("a.keras", 140583609480592, 7, "today"), ("b.keras", 3, 140583609480592, "now")]:
        config = f'{{"x": {{"shared_object_id": {first}}}, "y": {{"shared_object_id": {second}}}, "z": {{"shared_object_id": {first}}}}}'
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"date_saved": date}))
            archive.writestr("config.json", config)
        make_reproducible(tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        numbers = [part["shared_object_id"] for part in json.loads(archive.read("config.json")).values()]
    assert numbers == [0, 1, 0]


# --- results that come one by one ---


def test_a_new_result_is_named_and_makes_no_page_stale(toy):
    toy.path("results/runs/long-seed1.json").write_text("{}\n")
    done = toy.run("check")
    assert done.returncode == 0
    assert "02_second does not show results/runs/long-seed1.json yet" in done.stdout


def test_a_new_result_for_another_page_is_not_named(toy):
    toy.path("results/runs/other-seed0.json").write_text("{}\n")
    assert "does not show" not in toy.run("check").stdout


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_a_result_that_a_page_has_read_must_stay(toy, change):
    path = toy.path("results/runs/long-seed0.json")
    path.unlink() if change == "deleted" else path.write_text("[]\n")
    done = toy.run("check")
    assert done.returncode == 1
    assert "results/runs/long-seed0.json is not the one it was made with" in done.stdout


def test_a_reader_who_has_seen_enough_ends_it_quietly(toy):
    """As `make check | head` does."""
    process = subprocess.Popen(
        toy.command("check"), cwd=toy.folder, env=toy.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE


# --- damage ---


def cut(toy, name):
    path = toy.path(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "half a page": (lambda toy: cut(toy, "notebooks/01_first.ipynb"), "notebooks/01_first.ipynb is not whole: restore it"),
    "bytes that are no text": (
        lambda toy: toy.path("notebooks/01_first.ipynb").write_bytes(b"\xff\xfe\x00"),
        "notebooks/01_first.ipynb is not whole: restore it",
    ),
    "a list": (lambda toy: toy.path("notebooks/01_first.ipynb").write_text("[]"), "01_first.ipynb is not a notebook: restore it"),
    "a page without outputs": (
        lambda toy: toy.edit_page("01_first", lambda page: page["cells"][7].pop("outputs")),
        "01_first.ipynb is not a notebook: restore it",
    ),
    "tags that are none": (
        lambda toy: toy.edit_page("01_first", lambda page: page["cells"][7]["metadata"].update(tags=None)),
        "01_first.ipynb is not a notebook: restore it",
    ),
    "a helper that is no Python": (
        lambda toy: toy.edit_file("cifar_helpers/inner.py", "NOTHING = 0", "NOTHING = "),
        "cifar_helpers/inner.py is not Python (invalid syntax, line 1).",
    ),
    "a cell that is no Python": (
        lambda toy: toy.edit_cell("01_first", "value = double(START)  # the work", "%time value = 2"),
        "01_first: a code cell is not Python (invalid syntax): %time value = 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", ["check", "execute"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_page_is_one_sentence(toy, kind, command):
    damage, sentence = DAMAGE[kind]
    damage(toy)
    done = toy.run(command)
    assert done.returncode == 2 and sentence in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("change", [
    lambda stamp: stamp.pop("data"), lambda stamp: stamp.update(reads=None), lambda stamp: stamp.update(timing="long"),
])  # fmt: skip
def test_a_damaged_stamp_makes_a_page_stale(toy, change):
    toy.edit_page("02_second", lambda page: change(page["metadata"]["tutorial"]))
    done = toy.run("check")
    assert done.returncode == 1 and "02_second: its stamp is damaged." in done.stdout and done.stderr == ""


MISSING = {
    "README.md": lambda path: path.unlink(), "requirements.lock": lambda path: path.write_bytes(b"\xff"),
    "notebooks/01_first.ipynb": lambda path: (path.unlink(), path.mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_what_check_cannot_read_is_one_sentence(toy, name):
    MISSING[name](toy.path(name))
    done = toy.run("check")
    assert done.returncode == 2 and done.stdout == ""
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1 and "restore it from git" in done.stderr


def test_what_else_lies_in_the_folders_is_no_obstacle(toy):
    """As the folders that JupyterLab makes when a file in them is saved."""
    for folder in ("results/runs", "notebooks"):
        toy.path(f"{folder}/.ipynb_checkpoints").mkdir()
    toy.edit_page("01_first", lambda page: page["cells"][3].update(source=""))
    assert toy.run("check").returncode in (0, 1)
    assert toy.run("check").stderr == ""


@pytest.mark.parametrize("content", [b"", b"[]", b"0", b"{"])
def test_a_publication_that_was_damaged_leaves_what_was_published(toy, content):
    before = toy.published()
    toy.path("build/ready/notebooks").mkdir(parents=True)
    toy.path("build/ready/notebooks/01_first.ipynb").write_text("new")
    toy.path("build/ready/before.json").write_bytes(content)
    done = toy.run("check")
    assert done.returncode == 0 and done.stderr == ""
    assert toy.published() == before and not toy.path("build/ready").exists()


def test_refresh_makes_a_damaged_artefact_anew(toy):
    before = toy.published()
    toy.path("results/value.json").write_text("{")
    assert "results/value.json is not the one it was made with" in toy.run("check").stdout
    assert toy.run("refresh").returncode == 0
    assert toy.published()["results/value.json"] == before["results/value.json"]
