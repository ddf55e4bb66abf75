# Sentences -> vocabularies, WordPiece and character. Sourced by the recipes of the models.

# --- sentences
if [ ! -e $WORK/corpus/corpus_sampled.txt ]; then
    mkdir -p $WORK/corpus
    cat $TOKENIZER_TEXT/corpus_*.txt | grep -a -v '^$' | shuf -n 10000000 > $WORK/corpus/corpus_sampled.tmp
    mv $WORK/corpus/corpus_sampled.tmp $WORK/corpus/corpus_sampled.txt
fi

# --- alphabet
python make_alphabet_from_unidic.py --mecab_dic_type unidic_lite --output_file $WORK/tokenizers/alphabet/unidic_lite.txt

# --- WordPiece
python train_tokenizer.py --input_files $WORK/corpus/corpus_sampled.txt \
    --output_dir $WORK/tokenizers/wordpiece_unidic_lite --pre_tokenizer_type mecab --mecab_dic_type unidic_lite \
    --vocab_size $VOCAB_SIZE --limit_alphabet 7012 --initial_alphabet_file $WORK/tokenizers/alphabet/unidic_lite.txt \
    --num_unused_tokens 10 --wordpieces_prefix '##'

# --- character
mkdir -p $WORK/tokenizers/character_unidic_lite
head -n 7027 $WORK/tokenizers/wordpiece_unidic_lite/vocab.txt > $WORK/tokenizers/character_unidic_lite/vocab.txt
