#!/usr/bin/env bash
# A BERT of your own domain: continue the pretraining of a released model on my_domain.txt.
# Run in the project's folder: ./recipes/my_domain.sh
set -euo pipefail

# --- start
hf download tohoku-nlp/bert-base-japanese-v3 --local-dir tohoku-nlp/bert-base-japanese-v3
python convert_hf_checkpoint_to_tf2.py --hf_model_dir tohoku-nlp/bert-base-japanese-v3 --output_dir tf2/my_domain

# --- data
python merge_split_corpora.py --input_files my_domain.txt --output_dir corpus/my_domain --num_files 8
create="python create_pretraining_data.py --input_file corpus/my_domain/corpus_{}.txt \
    --vocab_file tf2/my_domain/vocab.txt --word_tokenizer_type mecab --subword_tokenizer_type wordpiece \
    --mecab_dic_type unidic_lite --do_whole_word_mask --gzip_compress --use_v2_feature_names --max_seq_length 512 \
    --max_predictions_per_seq 76 --masked_lm_prob 0.15 --dupe_factor 10"
seq -f %02g 1 7 | xargs -I {} -P 8 $create --output_file pretraining_data/my_domain/pretraining_data_{}.tfrecord.gz
echo 08 | xargs -I {} $create --output_file pretraining_data/my_domain/validation/pretraining_data_{}.tfrecord.gz

# --- training
[ -e model/my_domain/ckpt-20000.index ] || python run_pretraining.py --experiment=bert/pretraining \
    --mode=train_and_eval --model_dir=model/my_domain --config_file=configs/data/wikipedia.yaml \
    --config_file=tf2/my_domain/model.yaml --config_file=configs/runtime/gpu.yaml \
    --params_override="task.init_checkpoint=tf2/my_domain/ckpt-0,task.train_data.input_path=pretraining_data/my_domain/pretraining_data_*.tfrecord.gz,task.validation_data.input_path=pretraining_data/my_domain/validation/*.tfrecord.gz,task.train_data.global_batch_size=256,task.validation_data.global_batch_size=256,trainer.train_steps=20000,trainer.optimizer_config.learning_rate.polynomial.decay_steps=20000,trainer.optimizer_config.warmup.polynomial.warmup_steps=1000"

# --- conversion
python convert_tf2_checkpoint_to_all_frameworks.py --tf_checkpoint_path model/my_domain/ckpt-20000 \
    --tf_config_file tf2/my_domain/config.json --output_path hf_model/my-domain --hf_config_dir tf2/my_domain \
    --vocab_file tf2/my_domain/vocab.txt
