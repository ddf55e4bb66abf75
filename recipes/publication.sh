# Checkpoint -> model directory with ONNX, proven in both versions of Transformers. In place of the stage conversion:
# ./recipes/bert_large_character.sh publication

# --- publication
env -u VENV ./install.sh transformers4
python convert_tf2_checkpoint_to_all_frameworks.py --tf_checkpoint_path $MODEL_DIR/wikipedia/ckpt-$STEPS_512 \
    --tf_config_file model_configs/$MODEL/config.json --output_path $HF_MODEL \
    --hf_config_dir hf_model_configs/$MODEL --vocab_file $WORK/tokenizers/$TOKENIZER/vocab.txt \
    --onnx --verify_python .venv-transformers4/bin/python \
    --verify_tfrecord $DATA/wikipedia/validation/pretraining_data_$(printf %02d $WIKIPEDIA_SHARDS).tfrecord.gz
