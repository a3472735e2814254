# The commands of the tutorial. Every one sets up what it needs: see runner/bootstrap.sh.
#
# PYTHON=/path/to/python     the Python that .venv is built with, instead of the first suitable one found
# CIFAR10_DIR=/path/to/data  where the images are
.DEFAULT_GOAL := help
commands := help execute refresh check predict study bench test test-site test-faults test-all lab site serve lock clean
.PHONY: $(commands)
.NOTPARALLEL:
# Before anything runs: make would first do what stands before a word that it does not know.
$(foreach word,$(filter-out $(commands),$(MAKECMDGOALS)),\
	$(error $(word) is no command, and parameters are written as NAME=value; `make` alone lists all commands))

# Whatever else stands on the command line is a parameter: NAME=value, quoted for the shell, names judged by the runner.
quote = '$(subst ','\'',$(1))'
names := $(sort $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
names := $(filter-out PYTHON CIFAR10_DIR,$(names))
# Exported variables are not meant for this project: a setting counts only where it stands on the command line.
given = $(if $(filter command,$(origin $(1))),$(value $(1)))
parameters = $(foreach name,$(names),$(call quote,$(name)=$(value $(name))))

# Stops where chapters are being executed: what they work on is not to be removed. Only then does flock end with 9; it
# fails otherwise where the disk has no locks.
idle = ! command -v flock >/dev/null || test ! -e build/lock || flock -w 3 -E 9 build/lock true 2>/dev/null || \
	test $$? -ne 9 || { echo "Chapters are being executed in this folder; wait for that to end." >&2; exit 2; }
# Python, without whatever the person's variables would change: see runner/surroundings.py.
python = python=$$(sh runner/bootstrap.sh) && exec "$$python" -Es -m runner.surroundings

help: ## print this list
	@awk -F ': ## ' '/^[a-z-]+: ## / { printf "  make %-11s  %s\n", $$1, $$2 }' Makefile

execute: ## regenerate every chapter, or some of them: CHAPTERS="04 05" PROFILE=quick DATA=stand-in EPOCHS=60
	@$(python) runner execute $(parameters)

refresh: ## regenerate only the stale chapters and what depends on them
	@$(python) runner refresh $(parameters)

check: ## verify in seconds that every page is fresh
	@$(python) runner check

predict: ## name what a picture of yours shows: IMAGE=path, a folder or several; MODEL=baseline JSON=1
	@$(python) runner predict $(parameters)

study: ## make the results of long trainings that are missing or outdated, or some of them: RUNS="fast84*"
	@$(python) runner study $(parameters)

bench: ## time two ways of training in turn, and compare with the best this machine can do
	@$(python) runner bench

# Two tests at a time; those of one file follow each other in one process, as notebooks and shared fixtures need it.
pytest = "$$python" -Es -m runner.surroundings TUTORIAL_FAULT_FULL=$(call quote,$(call given,FULL)) \
	TUTORIAL_FAULT_SEED=$(call quote,$(call given,SEED)) \
	pytest -v --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=25

# The longest come first: tests/chapters executes every chapter and solution, the training ones both ways, and some of
# them again: of the baseline's trainings, and of all chapters with FULL=1, every cell has to show the same.
chapters = tests/chapters/test_chapters.py tests/chapters/test_beside.py
test: ## run every chapter quickly on drawings, some of them twice, and the fast tests: FULL=1 for every repetition
	@$(idle)
	@rm -rf build/stand-in*
	@python=$$(sh runner/bootstrap.sh) && $(pytest) $(chapters) tests --ignore=tests/site --ignore=tests/faults

test-site: ## open every page of the site, and chapter 1 in JupyterLab, in a real browser: FULL=1 for all screens
	@$(MAKE) --no-print-directory site
	@python=$$(sh runner/bootstrap.sh) && $(pytest) -rs tests/site

test-faults: ## interrupt, damage and deceive it, and count what is lost: SEED=1 for other faults, FULL=1 for more
	@python=$$(sh runner/bootstrap.sh) && $(pytest) -rs tests/faults

test-all: ## run everything that continuous integration runs: FULL=1 for all of it, as every week
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-site
	@$(MAKE) --no-print-directory test-faults

lab: ## open the chapters in JupyterLab
	@$(python) runner.lab notebooks/01_explore_data.ipynb

site: ## make a website of the published pages in build/site/, executing nothing
	@$(python) runner.site site

serve: ## open that website in the browser
	@$(python) runner.site serve

lock: ## compile environment.yml into requirements.lock, with the newest versions
	@python=$$(sh runner/bootstrap.sh --base) && exec "$$python" -Es -m runner.environment lock

clean: ## remove build/ and caches; data, pages, artefacts and .venv stay
	@$(idle)
	@test ! -d build || find build -mindepth 1 -maxdepth 1 ! -name ready ! -name '*lock' -exec rm -rf {} +
	@rm -rf .pytest_cache *.egg-info
	@find . \( -path ./.venv -o -path ./.git \) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
