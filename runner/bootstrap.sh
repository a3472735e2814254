#!/bin/sh
# Prints the Python that runs the tutorial; everything else it has to say goes to standard error.
#   runner/bootstrap.sh          the active conda environment if it satisfies environment.yml, otherwise .venv, built here if need be
#   runner/bootstrap.sh --base   any suitable Python to start from
CDPATH='' cd "${0%/*}/.." || exit
root=$(pwd -P)
export PYTHONPATH="$root"

# Python 2 must understand this too: it may be what "python" means. Prints "ok" or what is wrong.
probe='
import sys
if sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)):
    print("Python %d.%d" % sys.version_info[:2])
elif sys.implementation.name != "cpython":
    print(sys.implementation.name)
else:
    try:
        import ensurepip, venv
        print("ok")
    except ImportError:
        print("without venv or ensurepip")
'

# Runs the candidate, because being on PATH is not enough: version managers put stubs there that only fail.
try() {
    command -v "$1" >/dev/null 2>&1 || { echo "not there"; return; }
    "$1" -c "$probe" 2>/dev/null || echo "does not run"
}

find_base() {
    looked=
    for name in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        verdict=$(try "$name")
        if [ "$verdict" = ok ]; then
            [ -z "${PYTHON:-}" ] || [ "$name" = "$PYTHON" ] || echo "Using $name, not $looked." >&2
            echo "$name"
            return
        fi
        looked="${looked:+$looked, }$name ($verdict)"
    done
    echo "The tutorial needs Python 3.11, 3.12 or 3.13 with its venv module and found none: $looked; install one, or name it with PYTHON=/path/to/python." >&2
    return 1
}

if [ "${1:-}" = --base ]; then
    find_base
    exit
fi

if [ -n "${CONDA_PREFIX:-}" ]; then
    conda="$CONDA_PREFIX/bin/python"
    why=$(try "$conda")
    if [ "$why" = ok ] && why=$("$conda" -m runner.environment unsatisfied); then
        echo "$conda"
        exit
    fi
    echo "Using .venv: the active conda environment does not satisfy environment.yml ($why)." >&2
fi

venv="$root/.venv/bin/python"
if ! "$venv" -m runner.environment current 2>/dev/null; then
    base=$(find_base) && "$base" -m runner.environment build >&2 || exit
fi
echo "$venv"
