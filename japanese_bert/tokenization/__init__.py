"""MeCab words, subwords and vocabularies, and the tokenizer of the finished model."""
