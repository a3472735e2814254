"""No number in prose is a typed result: each is listed in allowed_numbers.toml, and the code agrees with it."""

import dataclasses
import json

import prose
import pytest

from runner import study
from runner.chapters import Chapter

WORDS, ENTRIES = prose.read_list(prose.LIST.read_text(encoding="utf-8"))
PAGES = prose.all_pages()
CODE = [entry for entry in ENTRIES if entry.kind == "code"]


def none_of(problems):
    """Fail with the problems alone: they say what to do."""
    if found := [problem for problem in problems if problem]:
        pytest.fail("\n".join(found), pytrace=False)


# ---- The pages and the README ------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_number_in_prose_is_listed(page):
    none_of(prose.unlisted(page, WORDS, ENTRIES))


@pytest.mark.parametrize("name", sorted({entry.page for entry in CODE}))
def test_prose_and_code_agree(name):
    none_of(prose.disagreement(entry, PAGES, WORDS) for entry in CODE if entry.page == name)


def test_every_line_of_the_list_stands_on_its_page():
    none_of(prose.left_over(PAGES, WORDS, ENTRIES))


def test_every_line_of_the_list_has_its_reason():
    none_of(prose.unfounded(entry, WORDS) for entry in ENTRIES)


# ---- What these tests would catch ------------------------------------------------------------------------


SMALL = prose.Page(
    "03_train_model",
    "notebooks/03_train_model.ipynb",
    (("cell 3 of 9, ", "We train for 15\nepochs."),),
    code="schedule = Decay(decay_rate=2e-4)",
    parameters={"EPOCHS": 15},
)
_, SMALL_LIST = prose.read_list("""
[03_train_model.code]
"train for 15 epochs" = "EPOCHS"
"a rate of 0.0002 per step" = 'here("decay_rate={}")'
"up to 10 % of the width" = '100 * read("augmentation.py", "SHIFT = {}")'
"starts at 0.002" = 'study.ZERO["LEARNING_RATE"]'
""")
EPOCHS, RATE, SHIFT, START = SMALL_LIST


def with_text(page, text):
    """A page with one more paragraph."""
    return dataclasses.replace(page, texts=(*page.texts, ("cell 99 of 99, ", text)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_an_accuracy_typed_anywhere_is_found(page):
    longer = with_text(page, "Trained for longer,\nthe network reaches an accuracy of 93.4% on\nthe test images.")
    *_, message = prose.unlisted(longer, WORDS, ENTRIES)
    assert f'{page.path}, cell 99 of 99, line 2: 93.4 is typed in "an accuracy of 93.4% on the test"' in message


def test_an_accuracy_is_found_in_the_readme_but_not_in_its_table():
    text = "<!-- results: written by make execute -->\n| 93.4 |\n<!-- end of results -->\nIt gets\n93.5 % right."
    (message,) = prose.unlisted(prose.readme_page(text), [], [])
    assert "README.md, line 5: 93.5 is typed" in message


def test_what_a_cell_says_counts_as_prose_on_its_line():
    code = 'text = f"{share:.1f} of {row[KEY]}, 94.5"\nsay(\n    text + "{:.2f}%".format(share) if share else "none"\n)'
    assert set(prose.said(code.replace("KEY", "'88%'"))) == {"… of …, 94.5", "\n\n…%", "\n\nnone"}
    assert prose.said('title = "94.5"') == []


def test_a_result_in_an_alt_text_is_found(tmp_path):
    cell = {"cell_type": "code", "source": "plot()", "outputs": [], "metadata": {"mystnb": {"image": {"alt": "It ends at 93.4%"}}}}
    page = tmp_path / "03_train_model.ipynb"
    page.write_text(json.dumps({"cells": [cell], "metadata": {}}), encoding="utf-8")
    (message,) = prose.unlisted(prose.chapter_page(Chapter(page)), [], [])
    assert "cell 1 of 1, alt text, line 1: 93.4 is typed" in message


def test_an_allowed_number_is_allowed_in_its_phrase_only():
    assert prose.unlisted(SMALL, [], SMALL_LIST) == []
    for text in ("It is right in 15 of 100 cases.", "We train for 15.5 epochs.", "We train for 15,000 epochs."):
        assert prose.unlisted(with_text(SMALL, text), [], SMALL_LIST), text
    assert prose.unlisted(dataclasses.replace(SMALL, name="04_visualize_results"), [], SMALL_LIST)


@pytest.mark.parametrize("entry", [entry for entry in CODE if entry.reason.isidentifier()], ids=str)
def test_a_changed_parameter_is_found(entry):
    pages = [page for page in PAGES if page.name == entry.page]
    assert entry.reason in pages[0].parameters
    pages[0] = dataclasses.replace(pages[0], parameters={**pages[0].parameters, entry.reason: 123.5})
    assert "the code 123.5" in prose.disagreement(entry, pages, WORDS)


def test_a_number_changed_in_a_cell_is_found():
    assert prose.disagreement(RATE, [SMALL], []) == ""
    changed = dataclasses.replace(SMALL, code=SMALL.code.replace("2e-4", "3e-4"))
    assert "the prose says 0.0002, the code 0.0003" in prose.disagreement(RATE, [changed], [])


def test_a_number_changed_in_a_file_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(prose, "PROJECT", tmp_path)
    for shift, problem in [(0.1, ""), (0.2, "the prose says 10, the code 20")]:
        (tmp_path / "augmentation.py").write_text(f"SHIFT = {shift}  # of the width\n", encoding="utf-8")
        assert problem in prose.disagreement(SHIFT, [SMALL], [])


def test_a_setting_changed_in_a_module_is_found(monkeypatch):
    monkeypatch.setitem(study.ZERO, "LEARNING_RATE", 0.004)
    assert "the prose says 0.002, the code 0.004" in prose.disagreement(START, [SMALL], [])


@pytest.mark.parametrize(
    "code, reason", [("", "no more"), ("Decay(decay_rate=2e-4), Decay(decay_rate=3e-4)", "with several numbers")]
)
def test_code_that_does_not_tell_is_found(code, reason):
    changed = dataclasses.replace(SMALL, code=code)
    message = prose.disagreement(RATE, [changed], [])
    assert f"LookupError: 'decay_rate={{}}' stands in the code cells {reason}" in message


def test_a_line_that_stands_nowhere_is_found():
    assert prose.left_over([SMALL], [], [EPOCHS]) == []
    message, named = prose.left_over([SMALL], ["CIFAR-10"], [EPOCHS, START])
    assert "[03_train_model.code] 'starts at 0.002' stands on no such page" in message
    assert "No page has the name 'CIFAR-10'" in named


def test_the_message_can_be_pasted_and_asks_for_a_reason():
    longer = with_text(SMALL, 'It says "no" at **0.75**, by $\\pm$ definition.')
    (message,) = prose.unlisted(longer, [], SMALL_LIST)
    _, (entry,) = prose.read_list(message.split("\n", 1)[1])
    assert prose.unlisted(longer, [], [*SMALL_LIST, entry]) == []
    assert "cannot be computed" in prose.disagreement(entry, [longer], [])
    for kind in ("year", "published", "definition"):
        assert prose.unfounded(dataclasses.replace(entry, kind=kind), []), kind


@pytest.mark.parametrize(
    "kind, phrase, reason",
    [
        ("result", "reaches 93.4%", "it was measured here"),
        ("definition", "93.4%", "it was measured here"),
        ("published", "reaches 93.4%", "somebody's blog"),
        ("year", "reaches 93.4%", "arXiv:2404.00498"),
    ],
)
def test_a_line_without_a_good_reason_is_found(kind, phrase, reason):
    assert prose.unfounded(prose.Entry("03_train_model", kind, phrase, reason), WORDS)


@pytest.mark.parametrize(
    "text, found",
    [
        ("93.4% of 60,000, ±0.5", ["93.4", "60,000", "0.5"]),
        ("3×3, then 0-255 and 1/27", ["3", "3", "0", "255", "1", "27"]),
        ("10² and ½ of `12`, $p = .9$", ["10", "²", "½", "12", ".9"]),
        ("it reaches\n94. Then it stops", ["94"]),
        ("chapter 94 and chapter 3.5, in chapter 3, 8 %", ["94", "3.5", "8"]),
        ("[84%](03_train_model.ipynb) in 2019", ["84", "2019"]),
        ("_93_ in CIFAR-10, 5 in CIFAR-100", ["93", "5", "100"]),
    ],
)
def test_what_counts_as_a_number(text, found):
    assert [number[0] for number in prose.numbers(text, ["CIFAR-10"])] == found


@pytest.mark.parametrize(
    "text",
    [
        "float32, F1, airbench94 and `block1_conv1`",
        "chapter 3, chapters 4, 6 and 7, tricks 5 and 6, [exercise 1](#exercise-1)",
        "## 3. Three rates\n\n1. one\n2. two\n3. three",
        "[arXiv:1902.00423](https://arxiv.org/abs/1902.00423) and https://example.org/93.4",
        "```\nmake execute EPOCHS=30\n```\n<!-- 93.4 -->",
        "[solutions/01_explore_data.ipynb](solutions/01_explore_data.ipynb)",
    ],
)
def test_what_states_no_number(text):
    assert prose.numbers(text) == []
