# Sizes and places of the released recipe. Every recipe of a model reads this file first.
# A value from your shell wins: WORK=/data PROCESSES=32 ./recipes/bert_base_wordpiece.sh
set -euo pipefail

# --- settings
WORK=${WORK:-.}                                   # folder for everything that the recipe reads and writes
CC100=${CC100:-$WORK/cc-100/ja.txt.xz}
DATE=${DATE:-20261101}                            # of the Wikipedia dump
WIKIPEDIA=${WIKIPEDIA:-$WORK/cirrus_search_index/$DATE/index_name=jawiki_content}
CC100_SHARDS=${CC100_SHARDS:-64}
WIKIPEDIA_SHARDS=${WIKIPEDIA_SHARDS:-8}
PROCESSES=${PROCESSES:-8}
TOKENIZER_TEXT=${TOKENIZER_TEXT:-$WORK/corpus/wikipedia}  # folder with corpus_*.txt
VOCAB_SIZE=${VOCAB_SIZE:-32768}
CC100_DUPE_FACTOR=${CC100_DUPE_FACTOR:-5}
SEQ_BUCKETS=${SEQ_BUCKETS:-}                      # lengths of Wikipedia's records: docs/pretraining_data.md
RUN_SHARDS=${RUN_SHARDS:-"xargs -I {} -P $PROCESSES"}
DATA=${DATA:-$WORK/pretraining_data/$TOKENIZER}
MODEL_DIR=${MODEL_DIR:-$WORK/model/$MODEL}        # one folder for each training
HF_MODEL=${HF_MODEL:-$WORK/hf_model/$NAME}

# --- training settings
TRAIN_PYTHON=${TRAIN_PYTHON:-$(compgen -G '.venv-train-*/bin/python' | head -n 1 || echo python)}  # docs/hardware.md
EXPERIMENT=${EXPERIMENT:-bert/pretraining}        # an ELECTRA has its own
RUNTIME=${RUNTIME:---config_file=configs/runtime/gpu.yaml}
OVERRIDES=${OVERRIDES:-runtime.num_gpus=8}        # parameters of both stages: name=value,name=value
OVERRIDES_512=${OVERRIDES_512:-}                  # more parameters of the second stage
CONFIG_128=${CONFIG_128:-cc-100}                  # first stage: configs/data/cc-100.yaml
CONFIG_512=${CONFIG_512:-wikipedia${SEQ_BUCKETS:+_buckets}}  # second stage: configs/data/wikipedia.yaml
EXPERIMENT_512=${EXPERIMENT_512:-$EXPERIMENT${SEQ_BUCKETS:+_dynamic}}
STEPS_128=${STEPS_128:-1000000}
STEPS_512=${STEPS_512:-1000000}
case $WORK in *" "*) echo "WORK=$WORK: expected a folder without spaces in its name" >&2; exit 1 ;; esac
[ -z "$SEQ_BUCKETS" ] || [ $EXPERIMENT = bert/pretraining ] ||
    { echo "SEQ_BUCKETS: $EXPERIMENT reads records of one length. Leave SEQ_BUCKETS out" >&2; exit 1; }
