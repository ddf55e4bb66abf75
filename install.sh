#!/usr/bin/env bash
# Install environments by their names (default: all). Each name has a file in requirements/. What is installed already
# is skipped.
#   data           text to TFRecords                                          .venv
#   all            the whole recipe on a CPU, conversion, JGLUE (CPU, GPU)    .venv
#   test, cluster  what ./test.sh and run_shards.py need besides              .venv
#   train-gpu      data and training on NVIDIA GPUs                           .venv-train-gpu
#   train-tpu      data and training on a TPU VM                              .venv-train-tpu
#   transformers4  Transformers 4, to check models in it                      .venv-transformers4
# VENV=/some/folder selects another place, PYTHON=/path/to/python3.12 another Python.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
    echo "install.sh: error: $1" >&2
    exit 1
}

minor() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

find_python() {
    local supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
    for python in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if "$python" -c "$supported" 2> /dev/null; then
            "$python" -c 'import ensurepip' 2> /dev/null ||
                fail "$python cannot make an environment. Run: sudo apt-get install $("$python" -c \
                    'import sys; print(f"python3.{sys.version_info.minor}-venv")')"
            return
        fi
    done
    fail "found $("$python" --version 2>&1 | tail -n 1). Expected Python 3.11, 3.12 or 3.13, because TensorFlow 2.20 \
has no packages for others. Set PYTHON=/path/to/python3.12."
}

find_python
for argument in "${@:-all}"; do
    name=$(basename "$argument" .txt) own_venv=.venv options=()
    file=requirements/$name.txt
    case $name in
        data) size="0.8 GB" ;;
        all | requirements) size="8.7 GB, 3 minutes" file=requirements.txt ;;
        test | cluster) size="" ;;
        train-gpu) size="8.1 GB, 4 minutes" own_venv=.venv-$name ;;
        train-tpu) size="3.6 GB, 2 minutes" own_venv=.venv-$name options=(--no-deps) ;;
        transformers4) size="8 GB, 3 minutes" own_venv=.venv-$name ;;
        *) fail "$argument: unknown. Expected data, all, train-gpu, train-tpu, test, cluster or transformers4." ;;
    esac
    venv=${VENV:-$own_venv}
    kind=$(cat "$venv/kind" 2> /dev/null || echo "$own_venv")
    [ "$kind" = "$own_venv" ] || fail "$venv is an environment like $kind. Give $name a VENV of its own."
    if [ -n "${PYTHON:-}" ] && [ -x "$venv/bin/python" ] && [ "$(minor "$python")" != "$(minor "$venv/bin/python")" ]; then
        fail "$venv has Python $(minor "$venv/bin/python"). Remove it first, or give VENV=/another/folder."
    fi
    stamp=$venv/installed-$name-$(cat "$file" requirements/data.txt | sha256sum | cut -c 1-16)
    if [ -e "$stamp" ]; then
        continue
    fi
    rm -f "$venv/installed-$name-"*  # of other pins
    started=$SECONDS log=$venv/install.log
    [ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
    echo "$own_venv" > "$venv/kind"
    printf 'Installing %s into %s%s ... ' "$file" "$venv" "${size:+, about $size}"
    if ! "$venv/bin/pip" install --disable-pip-version-check --progress-bar off "${options[@]}" -r "$file" > "$log" 2>&1; then
        printf 'failed\n'
        tail -n 3 "$log" | cut -c 1-300 >&2
        fail "pip could not install $file. See $log. Run ./install.sh again when the cause is gone."
    fi
    # So that `python -P` finds the package too, which ignores the folder of a script.
    pwd > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bert_japanese.pth"
    touch "$stamp"
    echo "done in $((SECONDS - started)) s ($(du -sh "$venv" | cut -f 1) now, log in $log)"
done
