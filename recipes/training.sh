# TFRecords -> checkpoints, in two stages. Sourced by the recipes of the models.
# A stage whose last checkpoint exists is skipped.

# --- first stage
[ -e $MODEL_DIR/cc-100/ckpt-$STEPS_128.index ] || $TRAIN_PYTHON run_pretraining.py --experiment=$EXPERIMENT \
    --model_dir=$MODEL_DIR/cc-100 --config_file=configs/data/$CONFIG_128.yaml --config_file=configs/model/$MODEL.yaml \
    $RUNTIME --train_files "$DATA/cc-100/pretraining_data_*.tfrecord.gz" \
    --validation_files "$DATA/cc-100/validation/*.tfrecord.gz" --train_steps $STEPS_128 --params_override="$OVERRIDES"

# --- second stage
[ -e $MODEL_DIR/wikipedia/ckpt-$STEPS_512.index ] || $TRAIN_PYTHON run_pretraining.py --experiment=$EXPERIMENT_512 \
    --model_dir=$MODEL_DIR/wikipedia --config_file=configs/data/$CONFIG_512.yaml --config_file=configs/model/$MODEL.yaml \
    $RUNTIME --init_checkpoint=$MODEL_DIR/cc-100/ckpt-$STEPS_128 \
    --train_files "$DATA/wikipedia/pretraining_data_*.tfrecord.gz" \
    --validation_files "$DATA/wikipedia/validation/*.tfrecord.gz" --train_steps $STEPS_512 \
    --params_override="$OVERRIDES${OVERRIDES_512:+,$OVERRIDES_512}"

# --- curves
case ${TF_CONFIG:-},$MODEL_DIR in
    *\"index\":[1-9]*,* | *\"index\":\ [1-9]*,*) echo "skipped: curves, because the first machine draws them" ;;
    *://*) echo "skipped: curves, because $MODEL_DIR is not a local folder" ;;
    *) python -m tools.plot_training_curves --run $MODEL=$MODEL_DIR/cc-100,$MODEL_DIR/wikipedia --output_file $MODEL_DIR/curves.png ;;
esac
