#!/usr/bin/env bash
# Fine-tune on JNLI and JSQuAD with Model Garden, from a checkpoint and from a SavedModel.
set -euo pipefail

# --- data
for split in train valid; do
    python -m tools.create_classification_data --input_file JGLUE/datasets/jnli-v1.3/$split-v1.3.json \
        --output_file finetuning_data/jnli/$split.tfrecord.gz --vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt \
        --word_tokenizer_type mecab --subword_tokenizer_type wordpiece --mecab_dic_type unidic_lite \
        --max_seq_length 128 --gzip_compress --text_fields sentence1 sentence2 --label_field label \
        --labels entailment contradiction neutral
done

# --- from a checkpoint
python -m tools.run_finetuning --experiment=bert/sentence_prediction --mode=train_and_eval --model_dir=finetuned/jnli \
    --config_file=configs/finetuning/jnli.yaml --config_file=configs/runtime/gpu.yaml \
    --tf_config_file=model_configs/bert_base_wordpiece/config.json \
    --params_override="task.init_checkpoint=model/bert_base_wordpiece/wikipedia/ckpt-1000000,task.train_data.input_path=finetuning_data/jnli/train.tfrecord.gz,task.validation_data.input_path=finetuning_data/jnli/valid.tfrecord.gz"

# --- predictions
python -m tools.predict_labels --model_dir finetuned/jnli --input_file finetuning_data/jnli/valid.tfrecord.gz \
    --output_file finetuned/jnli/valid.jsonl

# --- SavedModel
python -m tools.export_saved_model --tf_checkpoint_path model/bert_base_wordpiece/wikipedia/ckpt-1000000 \
    --tf_config_file model_configs/bert_base_wordpiece/config.json \
    --vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt --output_path saved_model/bert-base-japanese-v3

# --- from a SavedModel
python -m tools.run_finetuning --experiment=bert/sentence_prediction --mode=train_and_eval --model_dir=finetuned/jnli_hub \
    --config_file=configs/finetuning/jnli.yaml --config_file=configs/runtime/gpu.yaml \
    --params_override="task.hub_module_url=saved_model/bert-base-japanese-v3,task.model.use_encoder_pooler=true,task.train_data.input_path=finetuning_data/jnli/train.tfrecord.gz,task.validation_data.input_path=finetuning_data/jnli/valid.tfrecord.gz"

# --- answers
for split in train valid; do
    python -m tools.create_question_answering_data --input_file JGLUE/datasets/jsquad-v1.3/$split-v1.3.json \
        --output_file finetuning_data/jsquad/$split.tfrecord.gz --max_seq_length 384 --gzip_compress \
        --vocab_file tokenizers/wordpiece_unidic_lite/vocab.txt --word_tokenizer_type mecab \
        --subword_tokenizer_type wordpiece --mecab_dic_type unidic_lite
done
python -m tools.run_finetuning --experiment=bert/squad --mode=train_and_eval --model_dir=finetuned/jsquad \
    --config_file=configs/finetuning/jsquad.yaml --config_file=configs/runtime/gpu.yaml \
    --tf_config_file=model_configs/bert_base_wordpiece/config.json \
    --params_override="task.init_checkpoint=model/bert_base_wordpiece/wikipedia/ckpt-1000000,task.train_data.input_path=finetuning_data/jsquad/train.tfrecord.gz,task.validation_data.input_path=finetuning_data/jsquad/valid.tfrecord.gz"
python -m tools.predict_labels --model_dir finetuned/jsquad --input_file finetuning_data/jsquad/valid.tfrecord.gz \
    --text_file JGLUE/datasets/jsquad-v1.3/valid-v1.3.json --output_file finetuned/jsquad/valid.jsonl
python -m tools.evaluate_jglue --data_dir JGLUE/datasets --tasks jsquad \
    --predictions_file finetuned/jsquad/valid.jsonl
