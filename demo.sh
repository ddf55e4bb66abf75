#!/usr/bin/env bash
# The whole pipeline on the text of sample_data/, on a CPU: two tiny models, WordPiece and character, from raw text to
# a directory that Transformers loads. Everything is written below demo/; a second run reuses what is complete.
set -euo pipefail
cd "$(dirname "$0")"

./install.sh requirements.txt
export PATH="$PWD/.venv/bin:$PATH" TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
out=demo
vocab_size=10000  # all that the sample text supports is 10,601 entries
started=$SECONDS

step() {
    printf '\n=== %s (%d s) ===\n' "$1" $((SECONDS - started))
}

step "1. corpus: CC-100"
python merge_split_corpora.py --input_files sample_data/cc100_sample.txt.xz --output_dir $out/corpus/cc-100 --num_files 4

step "2. corpus: Wikipedia"
python make_corpus_wiki.py --input_file sample_data/jawiki-sample-cirrussearch-content.json.gz \
    --output_file $out/corpus/wikipedia/corpus.txt.gz --min_sentence_length 10 --max_sentence_length 200
python merge_split_corpora.py --input_files $out/corpus/wikipedia/corpus.txt.gz --output_dir $out/corpus/wikipedia --num_files 4
cat $out/corpus/*/corpus_*.txt | grep -a -v '^$' > $out/corpus/corpus_sampled.txt

step "3. alphabet"
python make_alphabet_from_unidic.py --mecab_dic_type unidic_lite --output_file $out/tokenizers/alphabet/unidic_lite.txt

step "4. tokenizers"
python train_tokenizer.py --input_files $out/corpus/corpus_sampled.txt --output_dir $out/tokenizers/wordpiece \
    --pre_tokenizer_type mecab --mecab_dic_type unidic_lite --vocab_size $vocab_size --limit_alphabet 7012 \
    --initial_alphabet_file $out/tokenizers/alphabet/unidic_lite.txt --num_unused_tokens 10 --wordpieces_prefix '##'
mkdir -p $out/tokenizers/character
head -n 7027 $out/tokenizers/wordpiece/vocab.txt > $out/tokenizers/character/vocab.txt

# name, flags of the tokenization: shards 01 to 03 for training, 04 held out for validation
data() {
    local name=$1 corpus records flags
    for corpus in cc-100 wikipedia; do
        records=$out/pretraining_data/$name/$corpus
        flags=(--vocab_file $out/tokenizers/$name/vocab.txt --word_tokenizer_type mecab --mecab_dic_type unidic_lite
            --do_whole_word_mask --gzip_compress --use_v2_feature_names --masked_lm_prob 0.15 "${@:2}")
        if [ $corpus = cc-100 ]; then
            flags+=(--max_seq_length 128 --max_predictions_per_seq 19 --dupe_factor 20)
        else
            flags+=(--max_seq_length 512 --max_predictions_per_seq 76 --dupe_factor 30)
        fi
        seq -f %02g 1 3 | xargs -L 1 -I {} -P 2 python create_pretraining_data.py --input_file $out/corpus/$corpus/corpus_{}.txt \
            --output_file $records/pretraining_data_{}.tfrecord.gz "${flags[@]}"
        python create_pretraining_data.py --input_file $out/corpus/$corpus/corpus_04.txt \
            --output_file $records/validation/pretraining_data_04.tfrecord.gz "${flags[@]}"
    done
}

step "5. pretraining data: WordPiece"
data wordpiece --subword_tokenizer_type wordpiece
step "6. pretraining data: character"
data character --subword_tokenizer_type character --vocab_has_no_subword_prefix

# name, corpus, data configuration, last step, further overrides; the trainer's whole output goes to a log file
train() {
    local name=$1 corpus=$2 config=$3 last_step=$4 more=${5:-}
    local records=$out/pretraining_data/$name/$corpus model_dir=$out/model/$name/$corpus
    if [ -e "$model_dir/ckpt-$last_step.index" ]; then
        echo "skipped: $model_dir/ckpt-$last_step"
        return
    fi
    mkdir -p "$model_dir"
    python run_pretraining.py --experiment=bert/pretraining --mode=train_and_eval --model_dir="$model_dir" \
        --config_file="configs/data/$config.yaml" --config_file="configs/model/bert_tiny_$name.yaml" \
        --config_file=configs/runtime/cpu.yaml \
        --params_override="${more}task.train_data.input_path=$records/pretraining_data_*.tfrecord.gz,task.validation_data.input_path=$records/validation/*.tfrecord.gz" \
        2>&1 | tee "$model_dir/train.log" | losses || {
            tail -n 5 "$model_dir/train.log" >&2
            echo "demo.sh: error: training failed; see $model_dir/train.log" >&2
            exit 1
        }
}

# One line for each report of the trainer, which gives it twice: step, speed, masked LM loss.
losses() {
    sed -u -n -E "s/np\.float32\(([^)]*)\)/\1/g
        /^ ?(train|eval) \|.*steps\/sec/{s/ *\| output: *//;h}
        /'lm_example_loss'/{s/.*: ([0-9.]{1,6}).*/masked LM loss \1/;H;s/.*//;x;/^ ?(train|eval)/{s/\n/ | /;p}}"
}

for name in wordpiece character; do
    step "7. training $name: sequences of 128 tokens"
    train $name cc-100 demo_128 300
    step "8. training $name: sequences of 512 tokens, from the first stage"
    train $name wikipedia demo_512 60 "task.init_checkpoint=$out/model/$name/cc-100/ckpt-300,"
    step "9. conversion $name"
    python convert_tf2_checkpoint_to_all_frameworks.py --tf_checkpoint_path $out/model/$name/wikipedia/ckpt-60 \
        --tf_config_file model_configs/bert_tiny_$name/config.json --output_path $out/hf_model/bert-tiny-japanese-$name \
        --vocab_file $out/tokenizers/$name/vocab.txt --hf_config_dir hf_model_configs/bert_tiny_$name --overwrite
done

step "10. fill-mask"
python - $out/hf_model/bert-tiny-japanese-* << 'EOF'
import sys

from transformers import pipeline, logging

logging.set_verbosity_error()
for directory in sys.argv[1:]:
    print(directory, flush=True)
    fill_mask = pipeline("fill-mask", model=directory, tokenizer=directory, top_k=5)
    for sentence in ["日本の首都は[MASK]です。", "毎朝、[MASK]を飲んでから仕事を始める。", "この橋は川[MASK]かかっている。"]:
        print(f"  {sentence}", " ".join(f"{p['token_str']} ({p['score']:.3f})" for p in fill_mask(sentence)))
EOF
printf '\nDone in %d s. The models are tiny and the text is small: this shows that every stage works, not what a model can do.\n' $((SECONDS - started))
