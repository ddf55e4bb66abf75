# Shards and a vocabulary -> TFRecords. The last shard is held out for validation. Sourced by the recipes of the models.

# --- tokenization
tokenization="--vocab_file $WORK/tokenizers/$TOKENIZER/vocab.txt --word_tokenizer_type mecab \
    --mecab_dic_type unidic_lite --subword_tokenizer_type $SUBWORDS"

# --- CC-100
create="python create_pretraining_data.py --input_file $WORK/corpus/cc-100/corpus_{}.txt $tokenization \
    --do_whole_word_mask --gzip_compress --use_v2_feature_names --max_seq_length 128 --max_predictions_per_seq 19 \
    --masked_lm_prob 0.15 --dupe_factor $CC100_DUPE_FACTOR"
seq -f %02g 1 $((CC100_SHARDS - 1)) | $RUN_SHARDS $create --output_file $DATA/cc-100/pretraining_data_{}.tfrecord.gz
seq -f %02g $CC100_SHARDS $CC100_SHARDS | $RUN_SHARDS \
    $create --output_file $DATA/cc-100/validation/pretraining_data_{}.tfrecord.gz

# --- Wikipedia
create="python create_pretraining_data.py --input_file $WORK/corpus/wikipedia/corpus_{}.txt $tokenization \
    --do_whole_word_mask --gzip_compress --use_v2_feature_names --max_seq_length 512 --max_predictions_per_seq 76 \
    --masked_lm_prob 0.15 --dupe_factor 30"
seq -f %02g 1 $((WIKIPEDIA_SHARDS - 1)) | $RUN_SHARDS $create ${SEQ_BUCKETS:+--seq_bucket_lengths $SEQ_BUCKETS} \
    --output_file $DATA/wikipedia/pretraining_data_{}.tfrecord.gz
seq -f %02g $WIKIPEDIA_SHARDS $WIKIPEDIA_SHARDS | $RUN_SHARDS \
    $create --output_file $DATA/wikipedia/validation/pretraining_data_{}.tfrecord.gz
