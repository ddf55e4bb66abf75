#!/usr/bin/env bash
# Make .venv with the given requirement files (default: requirements.txt). Does nothing if they are installed already.
# VENV=.venv-transformers4 ./install.sh requirements/transformers4.txt makes another one, with Transformers 4.
set -euo pipefail
cd "$(dirname "$0")"

files=("${@:-requirements.txt}")
venv=${VENV:-.venv}
python=${PYTHON:-python3.11}
if ! command -v "$python" > /dev/null; then
    python=python3
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "install.sh: error: $("$python" --version) found, expected Python 3.11; set PYTHON=/path/to/python3.11" >&2
    exit 1
fi

for file in "${files[@]}"; do
    stamp=$venv/installed-$(basename "$file")-$(sha256sum "$file" | cut -c 1-16)
    if [ -e "$stamp" ]; then
        continue
    fi
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
    echo "installing $file into $venv (the first time about 5 GB and two to five minutes)"
    "$venv/bin/pip" install --disable-pip-version-check --progress-bar off -r "$file"
    touch "$stamp"
done
