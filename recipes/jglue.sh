#!/usr/bin/env bash
# Fine-tune a model directory on JGLUE and print its scores beside those of the released models.
set -euo pipefail

# --- evaluation
git clone --depth 1 https://github.com/yahoojapan/JGLUE
python -m tools.evaluate_jglue --model_dir hf_model/bert-base-japanese-v3 --data_dir JGLUE/datasets \
    --output_dir jglue/bert-base-japanese-v3 --search --seeds 42 43 44
