"""Settings of the person's own, in variables and in files at home, reach no page and stop no command."""

import json
import os
import subprocess
import sys

import pytest

from runner.surroundings import COMMAND
from toy import PROJECT, Toy

DRAWING = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint(plt.rcParams['lines.linewidth'])"
SEEN = "import os, sys\nprint(sorted(os.environ), sys.flags, sys.stdout.encoding)\n1\n2"
FILES = {  # at home
    ".keras/keras.json": '{"floatx": "float16", "image_data_format": "channels_first", "backend": "jax"}',
    ".config/matplotlib/matplotlibrc": "lines.linewidth: 9\n",
    ".jupyter/jupyter_config.json": "{",
    ".ipython/profile_default/ipython_config.py": "get_config().InteractiveShell.ast_node_interactivity = 'all'\n",
    ".ipython/profile_default/startup/00.py": "print('started')\n",
    ".local/share/jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "", "language": "python"}',
    f".local/lib/python3.{sys.version_info[1]}/site-packages/usercustomize.py": "print('customized')\n",
    "other/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "", "language": "python"}',
    "other/sitecustomize.py": "raise SystemExit(1)\n",
}
# The toy imports no Keras: for that, see test_keras_starts_as_it_is_delivered_in_any_kernel.
# What people have set; {home}: their home.  Each row is a run of its own with FULL=1, all of them are one without.
SETTINGS = {
    "Matplotlib": {"MPLBACKEND": "Agg", "MATPLOTLIBRC": "{home}/.config/matplotlib", "MPLCONFIGDIR": "/nowhere"},
    "Jupyter": {"JUPYTER_PATH": "{home}/other", "JUPYTER_RUNTIME_DIR": "/nowhere", "JUPYTER_PLATFORM_DIRS": "1"},
    "IPython": {"IPYTHONDIR": "{home}/.ipython", "JUPYTER_CONFIG_DIR": "{home}/.jupyter"},
    "Python": {"PYTHONHOME": "/usr", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONIOENCODING": "ascii"},
    "where Python looks": {"PYTHONPATH": "{home}/other", "PYTHONSAFEPATH": "1", "PYTHONUSERBASE": "{home}/other"},
    "terminal": {
        "COLUMNS": "20",
        "NO_COLOR": "1",
        "FORCE_COLOR": "1",
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "TZ": "NZ",
    },
    "Keras": {"KERAS_BACKEND": "jax", "KERAS_MAX_EPOCHS": "1", "TF_USE_LEGACY_KERAS": "1", "XLA_FLAGS": "--bad"},
    "make": {"SEED": "42", "DATA": "/x", "PROFILE": "work", "TRAIN": "1", "TUTORIAL_ARTEFACTS": "/nowhere"},
}
TOGETHER = {name: value for row in SETTINGS.values() for name, value in row.items()}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A miniature project whose first chapter draws a figure and prints what it sees."""
    toy = Toy.build(tmp_path_factory.mktemp("settings") / "project")
    toy.edit_cell("01_first", "import time\n", f"{DRAWING}\n{SEEN}\nimport time\n")
    return toy


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def as_make(*words, folder, home, **variables):
    """Run a module as the Makefile does, for somebody with these variables; returns the finished process."""
    theirs = {name: os.environ[name] for name in COMMAND & os.environ.keys()} | variables
    return subprocess.run(
        [sys.executable, "-Es", "-m", "runner.surroundings", *words], cwd=folder, capture_output=True, text=True,
        env=theirs | {"HOME": str(home)}, timeout=300,
    )  # fmt: skip


def page_of(toy, home, **variables):
    """Chapter 1 of a run, without seconds."""
    done = as_make("runner", "execute", "CHAPTERS=01", folder=toy.folder, home=home, **variables)
    assert done.returncode == 0, done.stderr
    page = toy.page("01_first")
    page["cells"] = [cell for cell in page["cells"] if "timing" not in cell["metadata"].get("tags", [])]
    del page["metadata"]["tutorial"]["timing"]
    return page


@pytest.fixture(scope="module")
def clean_page(toy, tmp_path_factory):
    return page_of(toy, tmp_path_factory.mktemp("nobody"))


def rows(table):
    return [pytest.param(value, id=name, marks=pytest.mark.full) for name, value in table.items()]


@pytest.mark.parametrize("settings", [*rows(SETTINGS), pytest.param(TOGETHER, id="all")])
def test_the_page_is_the_same(toy, home, clean_page, settings, fault):
    with fault("settings of the person's own"):
        theirs = {name: value.format(home=home) for name, value in settings.items()}
        assert page_of(toy, home, **theirs) == clean_page


def test_what_changes_bits_is_recorded(toy, home, clean_page):
    page = page_of(toy, home, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    assert clean_page["metadata"]["tutorial"]["surroundings"] == {}
    found = page["metadata"]["tutorial"]["surroundings"]
    assert found == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


KERAS = """
import cifar_helpers.quiet, json, os, keras
found = keras.config
print(json.dumps([found.backend(), found.floatx(), found.epsilon(), found.image_data_format(), found.max_epochs()]))
print(os.environ["KERAS_HOME"])
"""


@pytest.mark.parametrize("as_it_is", [FILES[".keras/keras.json"], pytest.param("[1]", marks=pytest.mark.full)])
def test_keras_starts_as_it_is_delivered_in_any_kernel(tmp_path, as_it_is, fault):
    """Without the runner too: as in JupyterLab, opened by hand."""
    (tmp_path / "keras.json").write_text(as_it_is)
    theirs = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1"}
    with fault("settings of the person's own"):
        done = subprocess.run(
            [sys.executable, "-c", KERAS], env=os.environ | theirs, capture_output=True, text=True, cwd=PROJECT
        )
        config, place = done.stdout.splitlines()
        assert json.loads(config) == ["tensorflow", "float32", 1e-7, "channels_last", None]
        assert place == str(tmp_path)  # the images are still looked for there


@pytest.mark.full
def test_a_keras_that_was_imported_with_other_settings_is_named(fault):
    with fault("settings of the person's own"):
        script = "import keras; keras.config.set_floatx('float16'); import cifar_helpers.own_keras"
        done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True)
        assert done.stderr.splitlines()[-1].startswith("ImportError: Keras was imported with other settings: restart")


@pytest.mark.parametrize("folder", ["notebooks", "notebooks/solutions"])
def test_a_chapter_finds_the_helpers_from_its_own_folder(folder):
    """With any kernel, from any folder: there, `import` looks beside the notebook."""
    script = "from cifar_helpers.baseline import recipe; print(recipe.__file__)"
    program = [sys.executable, "-S", "-E", "-c", script]  # -S: without the project that is installed
    done = subprocess.run(program, cwd=PROJECT / folder, capture_output=True, text=True)
    assert done.stdout.strip() == str(PROJECT / "cifar_helpers" / "baseline" / "recipe.py")


PROXIES = {"SOCKS": "socks5://localhost:9", "malformed": ":::x", "without a scheme": "proxy.example:3128"}


@pytest.mark.parametrize("proxy", [PROXIES["SOCKS"], *rows(PROXIES)[1:]])
def test_jupyterlab_can_be_imported_with_any_proxy(proxy, fault):
    with fault("JupyterLab"):
        theirs = {"HTTPS_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": proxy}
        done = as_make("runner.lab", "--version", folder=PROJECT, home="/proc/nowhere", **theirs)
        assert done.returncode == 0 and done.stdout.strip()
