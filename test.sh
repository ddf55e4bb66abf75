#!/usr/bin/env bash
# Check style and run the tests, in .venv and in two processes.
# Arguments go to pytest:  ./test.sh -m slow   runs the long tests,  ./test.sh -m ''  all of them.
set -euo pipefail
cd "$(dirname "$0")"

./install.sh all test cluster
export PATH="$(realpath "${VENV:-.venv}")/bin:$PATH"
ruff check .
ruff format --check .
mypy
exec python -m pytest -n 2 --dist loadfile "$@"
