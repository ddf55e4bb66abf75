#!/usr/bin/env bash
# Install requirement files (default: requirements.txt) into .venv. A file that is installed already is skipped.
# Other environments: VENV=.venv-transformers4 ./install.sh requirements/transformers4.txt
set -euo pipefail
cd "$(dirname "$0")"

files=("${@:-requirements.txt}")
venv=${VENV:-.venv}
python=${PYTHON:-python3.11}
if ! command -v "$python" > /dev/null; then
    python=python3
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    echo "install.sh: error: found $("$python" --version). Expected Python 3.11. Set PYTHON=/path/to/python3.11." >&2
    exit 1
fi

for file in "${files[@]}"; do
    stamp=$venv/installed-$(basename "$file")-$(sha256sum "$file" | cut -c 1-16)
    if [ -e "$stamp" ]; then
        continue
    fi
    started=$SECONDS log=$venv/install.log
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
    case $file in
        requirements.txt) size=", about 5 GB, 2 to 5 minutes" ;;
        *) size="" ;;
    esac
    printf 'Installing %s into %s%s ... ' "$file" "$venv" "$size"
    if ! "$venv/bin/pip" install --disable-pip-version-check --progress-bar off -r "$file" > "$log" 2>&1; then
        printf 'failed\n'
        tail -n 3 "$log" | cut -c 1-300 >&2
        echo "install.sh: error: pip could not install $file. See $log. Run ./install.sh again when the cause is gone." >&2
        exit 1
    fi
    touch "$stamp"
    echo "done in $((SECONDS - started)) s ($(du -sh "$venv" | cut -f 1) now, log in $log)"
done
