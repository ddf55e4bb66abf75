# Raw text -> shards with one sentence a line. Sourced by the recipes of the models.

# --- CC-100
python merge_split_corpora.py --input_files $CC100 --output_dir $WORK/corpus/cc-100 --num_files $CC100_SHARDS

# --- Wikipedia
python make_corpus_wiki.py --input_file $WIKIPEDIA --output_file $WORK/corpus/wikipedia/corpus.txt.gz \
    --min_sentence_length 10 --max_sentence_length 200 --num_workers $PROCESSES
python merge_split_corpora.py --input_files $WORK/corpus/wikipedia/corpus.txt.gz --output_dir $WORK/corpus/wikipedia \
    --num_files $WIKIPEDIA_SHARDS
