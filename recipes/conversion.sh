# Checkpoint -> model directory of Hugging Face Transformers. Sourced by the recipes of the models.

# --- conversion
python convert_tf2_checkpoint_to_all_frameworks.py --tf_checkpoint_path $MODEL_DIR/wikipedia/ckpt-$STEPS_512 \
    --tf_config_file model_configs/$MODEL/config.json --output_path $HF_MODEL \
    --hf_config_dir hf_model_configs/$MODEL --vocab_file $WORK/tokenizers/$TOKENIZER/vocab.txt

# --- check
python -m tools.check_tokenizer --model_dir $HF_MODEL \
    --input_file $WORK/corpus/wikipedia/corpus_$(printf %02d $WIKIPEDIA_SHARDS).txt
