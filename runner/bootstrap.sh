#!/bin/sh
# Prints the Python that runs the tutorial; everything else it has to say goes to standard error.
#   runner/bootstrap.sh          the active conda environment if it satisfies environment.yml, otherwise .venv, built here if need be
#   runner/bootstrap.sh --base   any suitable Python to start from
# Where lines end as in Windows, the # at the end of the next one takes the extra character, so that it can say so.
read -r first <"$0"; [ -z "${first#*bin/sh}" ] || { echo "The files of this copy have the line ends of Windows, with which nothing runs: clone the repository anew, and git sees to them." >&2; exit 2; } #
CDPATH='' cd "${0%/*}/.." || exit
root=$(pwd -P)

# Python 2 must understand this too: it may be what "python" means. Prints "ok" or what is wrong.
probe='
import sys
del sys.path[0]
missing = []
for name in ("ensurepip", "venv", "_ctypes", "_sqlite3", "_ssl", "zlib", "_bz2", "_lzma", "pyexpat"):
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
if sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)):
    print("Python %d.%d" % sys.version_info[:2])
elif sys.implementation.name != "cpython":
    print(sys.implementation.name)
else:
    print("without " + " and ".join(missing) if missing else "ok")
'

# Runs the candidate, because being on PATH is not enough: version managers put stubs there that only fail.
try() {
    command -v "$1" >/dev/null 2>&1 || { echo "not there"; return; }
    "$1" -Es -c "$probe" 2>/dev/null || echo "does not run"
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
    echo "The tutorial needs Python 3.11, 3.12 or 3.13 with all modules of its own and found none: $looked; install one, or name it with PYTHON=/path/to/python." >&2
    return 1
}

venv="$root/.venv/bin/python"
for file in *.py; do
    case $file in (\*.py | *.*.py | __*__.py) continue;; esac
    python=$venv
    [ -x "$python" ] || python=$(find_base) || exit
    if "$python" -I -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))' "${file%.py}"; then
        echo "Python would take $root/$file for its module ${file%.py}: give it another name." >&2
        exit 2
    fi
done

if [ "${1:-}" = --base ]; then
    find_base
    exit
fi

if [ -n "${CONDA_PREFIX:-}" ]; then
    conda="$CONDA_PREFIX/bin/python"
    why=$(try "$conda")
    if [ "$why" = ok ] && why=$("$conda" -Es -m runner.environment unsatisfied); then
        echo "$conda"
        exit
    fi
    echo "Using .venv: the active conda environment does not satisfy environment.yml ($why)." >&2
fi

if ! "$venv" -Es -m runner.environment current 2>/dev/null; then
    base=$(find_base) && "$base" -Es -m runner.environment build >&2 || exit
fi
echo "$venv"
