"""The commands behind the Makefile: ``python -m runner execute|refresh|check|study|bench|predict [NAME=value ...]``.

``python -m runner COMMAND --help`` lists what a command takes.  Settings come from the command line alone, never from
the environment, which only says where things are.
"""

import contextlib

from cifar_helpers.settings import Parameter
from runner import exercises, predict, prose, publish, readme, stamp
from runner.chapters import PROFILES, all_chapters, as_text, chosen_chapters, reading, source
from runner.digests import Code
from runner.ending import BadRequest
from runner.execute import Run, execute_all
from runner.project import HERE
from runner.settings import available_data, settings
from runner.studies import catalogue

CHAPTERS = Parameter('CHAPTERS = ""  # which chapters, such as CHAPTERS="04 05"; all, if it is not given [text]')
PROFILE = Parameter('PROFILE = "full"  # all of it, or every line of the code on few images [full | quick]')
RUNS = Parameter('RUNS = "*"  # which trainings, such as RUNS="fast84*" [text]')


def main(arguments, project=HERE):
    """Run one command, such as ``["execute", "EPOCHS=3"]``; returns the exit status.  Raises BadRequest."""
    command, *words = arguments or ["--help"]
    if command in ("-h", "--help"):
        print(__doc__)
        return 0
    commands = {
        "execute": _execute, "refresh": _refresh, "check": _check,
        "study": _study, "bench": _bench, "predict": predict.main,
    }  # fmt: skip
    if command not in commands:
        raise BadRequest(f"There is no command {command}; there are {', '.join(commands)}.")
    _finish_publishing(project)  # before a page is read
    return commands[command](project, words)


def _execute(project, words):
    """Regenerate the chosen chapters, whatever their state."""
    chapters = all_chapters(project)
    parameters = {name: parameter for chapter in chapters for name, parameter in chapter.parameters.items()}
    given = settings("execute", words, CHAPTERS, PROFILE, *parameters.values())
    chosen = chosen_chapters(given.pop("CHAPTERS", CHAPTERS.default), chapters)
    profile, data = given.pop("PROFILE", PROFILE.default), available_data(given.pop("DATA", ""))
    profile = "quick" if data == "stand-in" else profile
    usual = {name: PROFILES[profile].get(name, parameter.default) for name, parameter in parameters.items()}
    changes = {name: value for name, value in sorted(given.items()) if value != usual[name]}
    return execute(chosen, chapters, Run(project, profile, data, changes))


def execute(chosen, chapters, run):
    """Regenerate the ``chosen`` ones of ``chapters``, with those first whose artefacts they miss; returns 0."""
    if not run.is_published:
        print(f"The pages of this run go to build/{run.root.name}/; notebooks/ stays as it is.")
    with publish.only_one(run.project):
        pages = execute_all(chosen, run, chapters)
        if run.is_published:
            readme.write(run.project, all_chapters(run.project))
            exercises.write(pages)
    print("\n" + readme.terminal_table(pages))
    if run.data == "stand-in":
        print("\nThese figures were made with drawings instead of CIFAR-10 and mean nothing for CIFAR-10.")
    for page in pages:
        for words in prose.not_so(page.notebook):
            print(f"{page.name} claims what is not so in this run: {words}.")
    return 0


def _refresh(project, words):
    """Regenerate the chosen chapters that are stale, and those whose artefacts change with them."""
    chapters = all_chapters(project)
    numbers = settings("refresh", words, CHAPTERS).get("CHAPTERS", CHAPTERS.default)
    chosen, stale = chosen_chapters(numbers, chapters), 0
    for chapter in chosen:
        # Looked at again when its turn comes: an earlier one may have changed what it reads.
        if found := stamp.problems(chapter, project.root):
            print(f"{chapter.name} is stale: {'; '.join(found)}.", flush=True)
            execute([chapter], chapters, Run(project, data=available_data("cifar10")))
            stale += 1
        elif page := _mended(chapter):
            with publish.only_one(project):
                mended = project.build / "mended.ipynb"
                mended.write_text(as_text(page), encoding="utf-8")
                publish.together(project, {chapter.path: mended})
            print(f"{chapter.name}: the values in its text are those of its run, and its result is that of its text.")
    with publish.only_one(project):
        now = all_chapters(project)
        readme.write(project, now)
        exercises.write(chosen_chapters(numbers, now))
    print(f"{stale} of {len(chosen)} pages were stale." if stale else f"All {len(chosen)} pages are fresh.")
    return 0


def _mended(chapter):
    """A fresh page's notebook with the values that its run stated and the result that its text says; None if it has."""
    made, note = prose.fill(chapter.notebook), chapter.notebook["metadata"][stamp.KEY]
    headline = prose.result(made)
    if not prose.differences(chapter.notebook) and headline == note["headline"]:
        return None
    return {**made, "metadata": {**made["metadata"], stamp.KEY: {**note, "headline": headline}}}


def _check(project, words):
    """Say whether every published page is fresh."""
    settings("check", words)
    chapters, code = all_chapters(project), Code(project.root)
    with reading("A page, a result, the lock or the README"):
        stale = {chapter.name: found for chapter in chapters if (found := _wrong(chapter, chapters, code))}
        stale |= {name: [reason] for name, reason in catalogue.outdated(project, code).items()}
        stale |= exercises.problems(chapters)
        if not stale and not readme.is_current(project, chapters):
            stale["README.md"] = ["its table of results is not what the pages say"]
    for name, found in stale.items():
        print(f"{name}: {'; '.join(found)}.")
    if stale:
        print("`make refresh` regenerates stale pages and mends values in their text, `make study` outdated results.")
        return 1
    print(f"All {len(chapters)} pages are fresh.")
    for chapter in chapters:
        if newer := stamp.newer_results(chapter):
            more = f" and {len(newer) - 1} more" if newer[1:] else ""
            print(f"{chapter.name} does not show {newer[0]}{more} yet: `make execute CHAPTERS={chapter.number}`.")
    return 0


def _wrong(chapter, chapters, code):
    """What is wrong with one of the published ``chapters``: a list of phrases."""
    found = stamp.problems(chapter, code=code) + prose.differences(chapter.notebook)
    found += [f"it claims what is not so: {words}" for words in prose.not_so(chapter.notebook)]
    if chapter.cells_tagged("state"):  # its prose is Markdown
        together = "\n".join(
            source(cell) for other in chapters if other.number == chapter.number for cell in other.code_cells
        )
        found += [f"a number has no source: {number}" for number in prose.unsourced_on(chapter, together)]
    return found


def _study(project, words):
    return catalogue.run(project, settings("study", words, RUNS).get("RUNS", RUNS.default))


def _bench(project, words):
    settings("bench", words)
    from runner.studies import bench  # only now: TensorFlow takes seconds to start

    return bench.run(project)


def _finish_publishing(project):
    """Bring to its end what a killed run was publishing; a run that goes on does that itself."""
    if project.ready.exists():
        # OSError: in a folder that cannot be written to.
        with contextlib.suppress(BadRequest, OSError), publish.only_one(project):
            pass
