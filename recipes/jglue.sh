# Fine-tune a model directory on JGLUE and print its scores beside those of the released models.
# Four commands to copy, each by itself.

# --- download
git clone --depth 1 https://github.com/yahoojapan/JGLUE

# --- scores
python -m tools.evaluate_jglue --model_dir hf_model/bert-base-japanese-v3 --data_dir JGLUE/datasets \
    --output_dir jglue/bert-base-japanese-v3 --search --seeds 42 43 44

# --- trial
python -m tools.evaluate_jglue --model_dir hf_model/bert-base-japanese-v3 --data_dir JGLUE/datasets \
    --tasks jsts jnli --output_dir jglue/trial --learning_rate 5e-5 --num_train_epochs 3 --max_train_samples 1000

# --- predictions
python -m tools.evaluate_jglue --data_dir JGLUE/datasets --tasks jsquad --predictions_file predictions.jsonl
