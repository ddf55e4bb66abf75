#!/usr/bin/env bash
# Add words of your domain to the vocabulary of a released model, in place of the start of my_domain.sh.
# It needs corpus/my_domain and tokenizers/alphabet/unidic_lite.txt (the section "alphabet" of tokenizers.sh).
set -euo pipefail

# --- added words
python train_tokenizer.py --input_files corpus/my_domain/corpus_*.txt --output_dir tokenizers/my_domain \
    --pre_tokenizer_type mecab --mecab_dic_type unidic_lite --vocab_size 32768 --limit_alphabet 7012 \
    --initial_alphabet_file tokenizers/alphabet/unidic_lite.txt --num_unused_tokens 10 --wordpieces_prefix '##'
python convert_hf_checkpoint_to_tf2.py --hf_model_dir tohoku-nlp/bert-base-japanese-v3 --output_dir tf2/my_domain_added \
    --add_vocab_file tokenizers/my_domain/vocab.txt --max_added_tokens 2000
