# The generator of an ELECTRA -> a model directory that fills masks. Sourced by the recipes of ELECTRA.

# --- generator
GENERATOR=${MODEL%_wordpiece}_generator
python convert_tf2_checkpoint_to_all_frameworks.py --tf_checkpoint_path $MODEL_DIR/wikipedia/ckpt-$STEPS_512 \
    --tf_config_file model_configs/${GENERATOR}_wordpiece/config.json --output_path $WORK/hf_model/$GENERATOR-japanese \
    --hf_config_dir hf_model_configs/${GENERATOR}_wordpiece --vocab_file $WORK/tokenizers/$TOKENIZER/vocab.txt
