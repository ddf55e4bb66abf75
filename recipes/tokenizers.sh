# Sentences -> vocabularies, WordPiece and character. Sourced by the recipes of the models.

# --- sentences
SENTENCES=$WORK/corpus/corpus_sampled.txt
if [ ! -e $SENTENCES ]; then
    mkdir -p $WORK/corpus
    cat $TOKENIZER_TEXT/corpus_*.txt | grep -a -v '^$' | shuf -n 10000000 > $SENTENCES.$$.tmp
    [ -e $SENTENCES ] && rm $SENTENCES.$$.tmp || mv $SENTENCES.$$.tmp $SENTENCES
fi

# --- alphabet
python make_alphabet_from_unidic.py --mecab_dic_type unidic_lite --output_file $WORK/tokenizers/alphabet/unidic_lite.txt

# --- WordPiece
python train_tokenizer.py --input_files $SENTENCES \
    --output_dir $WORK/tokenizers/wordpiece_unidic_lite --pre_tokenizer_type mecab --mecab_dic_type unidic_lite \
    --vocab_size $VOCAB_SIZE --limit_alphabet 7012 --initial_alphabet_file $WORK/tokenizers/alphabet/unidic_lite.txt \
    --num_unused_tokens 10 --wordpieces_prefix '##'

# --- character
mkdir -p $WORK/tokenizers/character_unidic_lite
CHARACTERS=$WORK/tokenizers/character_unidic_lite/vocab.txt
head -n 7027 $WORK/tokenizers/wordpiece_unidic_lite/vocab.txt > $CHARACTERS.$$.tmp
cmp -s $CHARACTERS.$$.tmp $CHARACTERS && rm $CHARACTERS.$$.tmp || mv $CHARACTERS.$$.tmp $CHARACTERS
