"""The commands behind the Makefile: ``python -m runner execute|refresh|check|study|bench|predict [NAME=value ...]``."""

import contextlib
import os

from runner import bench, predict, prose, publish, results, stamp, study
from runner.chapters import BadRequest, all_chapters, chosen_chapters, reading
from runner.execute import Run, execute_all
from runner.publish import only_one

SETTINGS = {"CHAPTERS": "", "PROFILE": "full", "DATA": "", "RUNS": "*"}


def main(command="--help", *assignments):
    """Run one command; returns the exit status."""
    if command in ("-h", "--help"):
        print(__doc__)
        return 0
    _finish_publishing()  # before a page is read
    if command == "check":
        return check()
    if command == "bench":
        return bench.run()
    if command == "predict":
        return predict.main(assignments)
    chapters = all_chapters()
    settings, changes = parse(assignments, chapters)
    if settings["RUNS"] != SETTINGS["RUNS"] and command != "study":
        raise BadRequest(f"make {command} does not take RUNS; make study does.")
    chosen = chosen_chapters(settings["CHAPTERS"], chapters)
    if command == "refresh":
        return refresh(chosen, chapters, settings, changes)
    if command == "execute":
        return execute(chosen, chapters, settings, changes)
    if command == "study":
        if changes or any(settings[name] != SETTINGS[name] for name in SETTINGS if name != "RUNS"):
            raise BadRequest("make study takes RUNS and no other setting: what it trains is fixed in runner/study.py.")
        return study.run(settings["RUNS"])
    raise BadRequest(f"There is no command {command}; type make to see what there is.")


def parse(assignments, chapters):
    """Split NAME=value settings into the runner's own and the chapters' parameters.

    Names come from the command line or, where the chapters know them, from the environment.
    Raises BadRequest for a name that nobody knows or a value that is not possible.
    """
    given = dict(assignment.split("=", 1) for assignment in assignments)
    parameters = {name: p for chapter in chapters for name, p in chapter.parameters.items()}
    settings = {name: given.get(name, os.environ.get(name, "")) or default for name, default in SETTINGS.items()}
    if settings["PROFILE"] not in ("full", "quick"):
        raise BadRequest(f"PROFILE={settings['PROFILE']}: expected full or quick.")
    if settings["DATA"]:
        parameters["DATA"].parse(settings["DATA"])
    changes = {}
    for name in sorted((given.keys() | (os.environ.keys() & parameters.keys())) - SETTINGS.keys()):
        if name not in parameters:
            known = ", ".join(sorted(SETTINGS.keys() | parameters.keys()))
            raise BadRequest(f"{name} is not a setting; there are {known}.")
        value = parameters[name].parse(given.get(name, os.environ.get(name)))
        if value != parameters[name].default:
            changes[name] = value
    return settings, changes


def execute(chosen, chapters, settings, changes):
    """Regenerate the chosen chapters, whatever their state."""
    profile, data = settings["PROFILE"], available_data(settings["DATA"])
    if data == "stand-in":
        profile = "quick"
    run = Run(profile, data, changes)
    if not run.is_published:
        print(f"The pages of this run go to build/{run.root.name}/; notebooks/ stays as it is.")
    with only_one():
        pages = execute_all(chosen, run, chapters)
        if run.in_float32:
            results.record_float32(pages)
        if run.is_published or run.in_float32:
            results.write_readme(all_chapters())
    print("\n" + results.terminal_table(pages))
    if data == "stand-in":
        print("\nThese figures were made with drawings instead of CIFAR-10 and mean nothing for CIFAR-10.")
    for page in pages:
        for words in prose.not_so(page.notebook):
            print(f"{page.name} claims what is not so in this run: {words}.")
    return 0


def refresh(chosen, chapters, settings, changes):
    """Regenerate the chosen chapters that are stale, and those whose artefacts change with them."""
    if changes or settings["PROFILE"] != "full":
        raise BadRequest("make refresh keeps the published pages fresh: it takes CHAPTERS and no other setting.")
    stale = 0
    for chapter in chosen:
        # Looked at again when its turn comes: an earlier one may have changed what it reads.
        if found := stamp.problems(chapter):
            print(f"{chapter.name} is stale: {'; '.join(found)}.", flush=True)
            execute([chapter], chapters, {**settings, "DATA": "cifar10"}, {})
            stale += 1
    with only_one():
        results.write_readme(all_chapters())
    print(f"{stale} of {len(chosen)} pages were stale." if stale else f"All {len(chosen)} pages are fresh.")
    return 0


def check():
    """Say whether every published page is fresh."""
    chapters = all_chapters()
    with reading("A page, a result, the lock or the README"):
        stale = {chapter.name: found for chapter in chapters if (found := stamp.problems(chapter))}
        for chapter in chapters:
            claims = [f"it claims what is not so: {words}" for words in prose.not_so(chapter.notebook)]
            if said := prose.differences(chapter.notebook) + claims:
                stale[chapter.name] = stale.get(chapter.name, []) + said
        stale |= {name: [reason] for name, reason in study.outdated().items()}
        if not stale and not results.readme_is_current(chapters):
            stale["README.md"] = ["its table of results is not what the pages say"]
    for name, found in stale.items():
        print(f"{name}: {'; '.join(found)}.")
    if stale:
        print("`make refresh` regenerates stale pages, `make study` outdated results.")
        return 1
    print(f"All {len(chapters)} pages are fresh.")
    for chapter in chapters:
        if newer := stamp.newer_results(chapter):
            more = f" and {len(newer) - 1} more" if newer[1:] else ""
            print(f"{chapter.name} does not show {newer[0]}{more} yet: `make execute CHAPTERS={chapter.number}`.")
    return 0


def _finish_publishing():
    """Bring to its end what a killed run was publishing; a run that goes on does that itself."""
    if publish.READY.exists():
        with contextlib.suppress(BadRequest, OSError), only_one():  # OSError: in a folder that cannot be written to
            pass


def available_data(wanted):
    """Return "cifar10" or "stand-in": what was asked for, or what can be had."""
    from cifar_helpers.data import DataUnavailable, load_cifar10

    if wanted == "stand-in":
        return wanted
    try:
        load_cifar10()
    except DataUnavailable as reason:
        if wanted or os.environ.get("CIFAR10_DIR"):
            raise BadRequest(str(reason)) from None
        print(
            f"{reason}\nThe tutorial goes on with the stand-in, drawings made by code: every step runs, "
            "but the figures mean nothing for CIFAR-10.",
            flush=True,
        )
        return "stand-in"
    return "cifar10"
