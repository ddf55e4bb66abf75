# The tokenizers of the released v2 and v1 models, after the stage tokenizers. v1 needs: pip install ipadic
# ./recipes/bert_base_wordpiece.sh earlier_tokenizers

# --- v2
python train_tokenizer.py --input_files $WORK/corpus/corpus_sampled.txt --output_dir $WORK/tokenizers/wordpiece_v2 \
    --character_output_dir $WORK/tokenizers/character_v2 --pre_tokenizer_type mecab --mecab_dic_type unidic_lite \
    --vocab_size 32768 --limit_alphabet 6129 --num_unused_tokens 10

# --- v1
python train_tokenizer.py --input_files $WORK/corpus/corpus_sampled.txt --output_dir $WORK/tokenizers/wordpiece_v1 \
    --character_output_dir $WORK/tokenizers/character_v1 --pre_tokenizer_type mecab --mecab_dic_type ipadic \
    --vocab_size 32000 --limit_alphabet 3995 --num_unused_tokens 0
