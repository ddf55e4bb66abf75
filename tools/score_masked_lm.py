"""Score masked language models on held-out text by their pseudo-perplexity, without fine-tuning (Salazar et al. 2020).

Each token of a sentence is hidden alone. A model that knows every token scores 1, a model that guesses scores the size
of its vocabulary. Models of different vocabularies are compared by pseudo_perplexity_of_characters. All models get the
same sentences. The last line of the output is JSON.
"""

import argparse
import json
import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.progress_line import ProgressLine
from japanese_bert.common.report import print_summary
from japanese_bert.common.text_files import expand_paths
from japanese_bert.tokenization.word_counts import Reservoir, clean_sentences, read_corpus


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="directories with a model for PyTorch")
    parser.add_argument(
        "--input_file", nargs="+", required=True, help="held-out text, one sentence per line, plain or compressed"
    )
    parser.add_argument("--num_sentences", type=int, default=1000, help="score a random sample of so many")
    parser.add_argument("--random_seed", type=int, default=12345, help="of the sample")
    parser.add_argument("--tokens_at_once", type=int, default=4096, help="tokens in one batch. They limit the memory")
    return parser


def main(args: argparse.Namespace) -> None:
    names = ("num_sentences", "tokens_at_once")
    command_line.check_positive({name: getattr(args, name) for name in names})
    sentences = sample_sentences(args.input_file, args.num_sentences, args.random_seed)
    from japanese_bert.evaluation.masked_lm import MaskedLM
    from japanese_bert.evaluation.pseudo_perplexity import find_sequences, score_sentences

    found = [find_sequences(MaskedLM(directory), sentences) for directory in args.model]
    usable = [index for index in range(len(sentences)) if all(sequences[index] for sequences in found)]
    if not usable:
        raise ValueError(f"{' '.join(args.input_file)}: no sentence that every model can take. Give shorter sentences")
    print(f"sentences: {len(usable):,}, left out as too long or with special tokens: {len(sentences) - len(usable):,}")
    results = {}
    for directory, sequences in zip(args.model, found, strict=True):
        line = ProgressLine(sys.stderr, len(usable))
        show = partial(line.show, text=str(directory))
        texts, questions = [sentences[index] for index in usable], [sequences[index] for index in usable]
        score = score_sentences(MaskedLM(directory), texts, questions, args.tokens_at_once, show)
        line.close()
        results[str(directory)] = score.results()
        print_summary(str(directory), score.results())
    print(json.dumps({"sentences": len(usable), "models": results}, ensure_ascii=False))


def sample_sentences(files: list[str], size: int, random_seed: int) -> list[str]:
    """Return a sample of the sentences of all files, the same in every run."""
    sample = Reservoir(size, random_seed)
    for block in read_corpus(expand_paths(files)):
        sample.add(clean_sentences(block, Counter()))
    if not sample.sentences:
        raise ValueError(f"{' '.join(files)}: no sentence to score. Expected text, one sentence per line")
    return sample.sentences


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    command_line.run_stage(get_parser(), main)
