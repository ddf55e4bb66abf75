#!/usr/bin/env bash
# A BERT of your own domain: continue the pretraining of a released model on my_domain.txt.
# Run in the project's folder: ./recipes/my_domain.sh
# A value from the environment wins: OVERRIDES=runtime.num_gpus=8 STEPS=50000 ./recipes/my_domain.sh
set -euo pipefail

# --- settings
BASE=${BASE:-tohoku-nlp/bert-base-japanese-v3}    # the model to continue, by its name on the Hub
BASE_DIR=${BASE_DIR:-$BASE}                       # its folder here
DOMAIN=${DOMAIN:-my_domain}
TEXT=${TEXT:-$DOMAIN.txt}
NAME=${NAME:-$DOMAIN}                             # of the new model
SUBWORDS=${SUBWORDS:-wordpiece}                   # of the base model, as in recipes/bert_base_*.sh
DICTIONARY=${DICTIONARY:-unidic_lite}
ADDED_WORDS=${ADDED_WORDS:-0}
VOCAB_SIZE=${VOCAB_SIZE:-32768}                   # of the vocabulary that the words are taken from
SHARDS=${SHARDS:-8}                               # the last one is for validation
PROCESSES=${PROCESSES:-8}
LENGTH=${LENGTH:-512}                             # tokens of an instance
BATCH=${BATCH:-256}
STEPS=${STEPS:-20000}                             # they also set the learning rate and its warm-up
TRAIN_PYTHON=${TRAIN_PYTHON:-$(compgen -G '.venv-train-*/bin/python' | head -n 1 || echo python)}  # docs/hardware.md
RUNTIME=${RUNTIME:---config_file=configs/runtime/gpu.yaml}
OVERRIDES=${OVERRIDES:-}                          # further parameters of the trainer: name=value,...

# --- download
compgen -G "$BASE_DIR/*model*.[sb]*" > /dev/null || hf download $BASE --local-dir $BASE_DIR --exclude '*.h5' --exclude '*.msgpack'

# --- corpus
python merge_split_corpora.py --input_files $TEXT --output_dir corpus/$DOMAIN --num_files $SHARDS

# --- words
if [ $ADDED_WORDS -gt 0 ]; then
    python train_tokenizer.py --input_files corpus/$DOMAIN/corpus_*.txt --output_dir tokenizers/$DOMAIN \
        --mecab_dic_type $DICTIONARY --vocab_size $VOCAB_SIZE
    ADD="--add_vocab_file tokenizers/$DOMAIN/vocab.txt --max_added_tokens $ADDED_WORDS"
fi

# --- start
python convert_hf_checkpoint_to_tf2.py --hf_model_dir $BASE_DIR --base_model $BASE --output_dir tf2/$NAME \
    --mecab_dic_type $DICTIONARY ${ADD:-}

# --- data
create="python create_pretraining_data.py --input_file corpus/$DOMAIN/corpus_{}.txt \
    --vocab_file tf2/$NAME/vocab.txt --word_tokenizer_type mecab --subword_tokenizer_type $SUBWORDS \
    --mecab_dic_type $DICTIONARY --do_whole_word_mask --gzip_compress --use_v2_feature_names \
    --max_seq_length $LENGTH --max_predictions_per_seq $((LENGTH * 15 / 100)) --masked_lm_prob 0.15 --dupe_factor 10"
DATA=pretraining_data/$NAME
seq -f %02g $((SHARDS - 1)) | xargs -I {} -P $PROCESSES $create --output_file $DATA/pretraining_data_{}.tfrecord.gz
printf '%02d\n' $SHARDS | xargs -I {} $create --output_file $DATA/validation/pretraining_data_{}.tfrecord.gz

# --- training
WARMUP=trainer.optimizer_config.warmup.polynomial.warmup_steps
[ -e model/$NAME/ckpt-$STEPS.index ] || $TRAIN_PYTHON run_pretraining.py --model_dir=model/$NAME $RUNTIME --keep_best \
    --train_files "$DATA/pretraining_data_*.tfrecord.gz" --init_checkpoint tf2/$NAME/ckpt-0 \
    --train_steps $STEPS --batch_size $BATCH \
    --params_override="trainer.checkpoint_interval=1000,$WARMUP=$((STEPS / 20))${OVERRIDES:+,$OVERRIDES}"

# --- conversion
python convert_tf2_checkpoint_to_all_frameworks.py --tf_checkpoint_path model/$NAME/ckpt-$STEPS \
    --tf_config_file tf2/$NAME/config.json --output_path hf_model/$NAME --hf_config_dir tf2/$NAME \
    --vocab_file tf2/$NAME/vocab.txt
