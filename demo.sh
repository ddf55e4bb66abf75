#!/usr/bin/env bash
# Run the recipe on the text of sample_data/, on a CPU: a tiny WordPiece model and a tiny character model, from raw
# text to a directory that Transformers loads. All output is below demo/. A second run reuses what is complete.
set -euo pipefail
cd "$(dirname "$0")"

./install.sh all
export PATH="$(realpath "${VENV:-.venv}")/bin:$PATH" TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
SECONDS=0

# The sizes of the demo. recipes/settings.sh has the sizes of the released models.
WORK=demo
CC100=sample_data/cc100_sample.txt.xz
WIKIPEDIA=sample_data/jawiki-sample-cirrussearch-content.json.gz
CC100_SHARDS=4
WIKIPEDIA_SHARDS=4
PROCESSES=2
TOKENIZER_TEXT="demo/corpus/*"  # the text of both corpora is just enough for 10,000 entries
VOCAB_SIZE=10000
CC100_DUPE_FACTOR=20
RUNTIME=--config_file=configs/runtime/cpu.yaml
OVERRIDES=runtime.num_gpus=0
CONFIG_128=demo_128
CONFIG_512=demo_512
STEPS_128=300
STEPS_512=60

# wordpiece or character: set what recipes/bert_base_*.sh set, for the tiny model
use() {
    unset DATA MODEL_DIR HF_MODEL
    MODEL=bert_tiny_$1
    TOKENIZER=$1_unidic_lite
    SUBWORDS=$1
    [ "$1" = wordpiece ] || SUBWORDS="character --vocab_has_no_subword_prefix"
    NAME=bert-tiny-japanese-$1
    source recipes/settings.sh
}

number=0
step() {
    number=$((number + 1))
    printf '\n=== %d of 9: %s (%d s) ===\n' $number "$1" $SECONDS
}

report() {
    local code=$?
    if [ $code != 0 ]; then
        echo "demo.sh: error: step $number failed. Fix the cause and run ./demo.sh again." \
            "If demo/ is from another version, remove it first." >&2
    fi
}
trap report EXIT

use wordpiece
step "corpus"
source recipes/corpus.sh
step "tokenizers"
source recipes/tokenizers.sh
for tokens in wordpiece character; do
    use $tokens
    step "pretraining data, $tokens"
    source recipes/pretraining_data.sh
    step "training, $tokens: 300 steps of 128 tokens, 60 steps of 512 tokens"
    [ ! -e "$MODEL_DIR/wikipedia/ckpt-$STEPS_512.index" ] || echo "skipped: $MODEL_DIR, complete"
    source recipes/training.sh
    step "conversion, $tokens"
    source recipes/conversion.sh
done

step "fill-mask"
python - demo/hf_model/bert-tiny-japanese-* << 'END'
import sys

from transformers import logging, pipeline

logging.set_verbosity_error()
logging.disable_progress_bar()
for directory in sys.argv[1:]:
    print(directory, flush=True)
    fill_mask = pipeline("fill-mask", model=directory, tokenizer=directory, top_k=5)
    for sentence in ["日本の首都は[MASK]です。", "毎朝、[MASK]を飲んでから仕事を始める。", "この橋は川[MASK]かかっている。"]:
        print(f"  {sentence}", " ".join(f"{p['token_str']} ({p['score']:.3f})" for p in fill_mask(sentence)))
END

cat << END

Done in $SECONDS s. The models are tiny and the text is small: the demo shows that every stage works.
  demo/corpus, demo/tokenizers, demo/pretraining_data    the data
  demo/model/bert_tiny_*/                                checkpoints, train.log, curves.png
  demo/hf_model/bert-tiny-japanese-*/                    the models, for Hugging Face Transformers
Next: ./recipes/bert_base_wordpiece.sh trains the released model, ./recipes/my_domain.sh continues it on your text.
END
