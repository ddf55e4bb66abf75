"""Create masked LM and next sentence prediction examples: corpus shards + vocab.txt -> TFRecords.

The corpus is tokenized once into a token store on disk. Then compiled code plans instances as token ranges, shuffles
them and renders them (gathers, masks and encodes tokens). It takes about 0.3 GB of memory for a shard of any size.
It follows Devlin et al. 2019 and the code released with it. docs/differences.md lists the differences.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from japanese_bert.common import command_line
from japanese_bert.common.report import Stopwatch, print_summary, progress_bar
from japanese_bert.tokenization.arguments import add_tokenization_arguments, load_data_tokenizer, method_of

if TYPE_CHECKING:
    import numpy as np

    from japanese_bert.pretraining_data.rendering import Renderer
    from japanese_bert.pretraining_data.token_store import BlockTokenizer, CorpusCounts, TokenStore

# Arguments that decide no byte of the output, or that the provenance has by content.
RUN_ARGUMENTS = ("input_file", "output_file", "check_use", "num_workers", "work_dir", "overwrite")
MIN_SHARE_USED = 0.5  # of the tokens
DOC_SENTENCES, FULL_SENTENCES = "doc_sentences", "full_sentences"
# Arguments that are in the provenance if they are not the default, because older outputs do not have them.
NEW_ARGUMENTS = {"seq_bucket_lengths": None, "packing": DOC_SENTENCES}


def get_parser() -> argparse.ArgumentParser:
    switch = argparse.BooleanOptionalAction
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command_line.HelpFormatter)
    files = parser.add_argument_group("input and output")
    files.add_argument(
        "--input_file", required=True, help="shards, comma-separated names or globs (.gz, .bz2, .xz too)"
    )
    files.add_argument(
        "--output_file", required=True, help="TFRecord files, comma-separated; records are dealt in turn"
    )

    add_tokenization_arguments(parser)

    method = parser.add_argument_group("method")
    method.add_argument("--max_seq_length", type=int, default=128, help="tokens, [CLS] and [SEP] included")
    method.add_argument(
        "--max_predictions_per_seq", type=int, help="masked tokens at most; default: max_seq_length * masked_lm_prob"
    )
    method.add_argument("--masked_lm_prob", type=float, default=0.15, help="share of tokens to mask")
    method.add_argument("--do_whole_word_mask", action=switch, default=False, help="mask all tokens of a word together")
    method.add_argument("--next_sentence", action=switch, default=True, help="sentence pairs; else one segment")
    method.add_argument(
        "--packing",
        choices=(DOC_SENTENCES, FULL_SENTENCES),
        default=DOC_SENTENCES,
        help="one segment: complete sentences of one document, or text that runs on over documents, [SEP] between them",
    )
    method.add_argument("--dupe_factor", type=int, default=10, help="passes over the corpus with different masks")
    method.add_argument(
        "--short_seq_prob", type=float, help="share of documents cut shorter; default: 0.1, for full_sentences 0"
    )
    method.add_argument("--random_seed", type=int, default=12345, help="same seed, same bytes")
    method.add_argument(
        "--check_use",
        action=switch,
        default=True,
        help="stop if the instances use under half of the tokens, or if every next sentence is random",
    )

    form = parser.add_argument_group("form of the records")
    form.add_argument("--use_v2_feature_names", action=switch, default=False, help="input_word_ids, input_type_ids")
    form.add_argument(
        "--seq_bucket_lengths",
        type=int,
        nargs="+",
        help="pad each record to the first of these lengths that holds it, e.g. 128 256 384 512. The last one is "
        "max_seq_length. Default: pad to max_seq_length",
    )
    form.add_argument("--gzip_compress", action=switch, default=False, help="file_type: tfrecord_compressed")

    command_line.add_run_arguments(parser)
    parser.add_argument(
        "--work_dir", type=Path, help="temporary files: 2 bytes a token, 32 an instance; default: beside the output"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    from japanese_bert.common.output_files import open_outputs
    from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
    from japanese_bert.common.text_files import expand_paths
    from japanese_bert.compiled.mapped_arrays import keep_arrays_out_of_heap, release_files_below
    from japanese_bert.pretraining_data.rendering import Renderer, RenderSettings
    from japanese_bert.pretraining_data.token_store import BlockTokenizer, with_separators
    from japanese_bert.tokenization.identity import check_vocab_of_data
    from japanese_bert.tokenization.vocab import SEP

    stopwatch = Stopwatch()
    keep_arrays_out_of_heap()
    if args.short_seq_prob is None:
        args.short_seq_prob = 0.0 if args.packing == FULL_SENTENCES else 0.1
    check_arguments(args)
    if args.max_predictions_per_seq is None:
        args.max_predictions_per_seq = default_predictions(args.max_seq_length, args.masked_lm_prob)
    inputs = expand_paths(args.input_file)
    outputs = [Path(name) for name in args.output_file.split(",")]
    tokenizer = load_data_tokenizer(args)
    vocab, dictionary = tokenizer.vocab, tokenizer.splitter.dictionary
    left_out = [name for name, default in NEW_ARGUMENTS.items() if vars(args)[name] == default]
    provenance = Provenance(
        stage="create_pretraining_data",
        method=method_of(args, [*RUN_ARGUMENTS, *left_out])
        | {"outputs": [path.name for path in outputs], "vocab_size": len(vocab)},
        inputs=InputFiles(text=inputs, vocab=[tokenizer.vocab_file]),
        arguments=vars(args),
        dictionary=dictionary.identity() if dictionary else None,
        packages=(*tokenizer.packages, "numpy", "numba", "isal"),
    )
    if skip_if_complete(provenance, outputs):
        return
    check_vocab_of_data(provenance, tokenizer.vocab_file, args.check_records)
    command_line.check_compression(outputs, args.gzip_compress)
    with open_outputs(outputs, provenance, args.overwrite) as files, ExitStack() as work_files:
        new_file = partial(open_work_file, work_files, args.work_dir or outputs[0].parent)
        store = tokenize(args, inputs, BlockTokenizer(tokenizer.splitter, tokenizer.encode_word, vocab), new_file)
        if dictionary:
            release_files_below(dictionary.directory)
        if args.packing == FULL_SENTENCES:
            store = with_separators(store, vocab.ids[SEP], new_file)
        instances, order = plan(args, store, vocab.ids[SEP] | store.word_start_bit, new_file)
        use = check_use(args, store.counts, instances)
        settings = RenderSettings(**{name: vars(args)[name] for name in RenderSettings._fields})
        renderer = Renderer(
            store, instances, order, vocab, settings, len(files), bucket_lengths=args.seq_bucket_lengths or ()
        )
        rendered = render(args, renderer, files)
        provenance.report.update(summarize(store.counts, rendered, use), **stopwatch.measurements())
    print_summary("created pretraining data", provenance.report)


def default_predictions(max_seq_length: int, masked_lm_prob: float) -> int:
    """Return the masked tokens of a full sequence, rounded down as in the recipe: 19 of 128, 76 of 512."""
    return max(1, int(round(max_seq_length * masked_lm_prob, 6)))  # 0.29 * 100 is 28.999999999999996


def check_arguments(args: argparse.Namespace) -> None:
    """Raise ValueError for the first setting that cannot work."""
    from japanese_bert.pretraining_data.instances import MAX_SEQ_LENGTH, MIN_SEQ_LENGTH

    names = ("dupe_factor", "max_predictions_per_seq", "num_workers")
    command_line.check_positive({name: vars(args)[name] for name in names if vars(args)[name] is not None})
    if not MIN_SEQ_LENGTH <= args.max_seq_length <= MAX_SEQ_LENGTH:
        raise ValueError(f"--max_seq_length {args.max_seq_length}: expected {MIN_SEQ_LENGTH} to {MAX_SEQ_LENGTH}")
    if (args.max_predictions_per_seq or 0) > args.max_seq_length:
        raise ValueError(
            f"--max_predictions_per_seq {args.max_predictions_per_seq}: more than --max_seq_length "
            f"{args.max_seq_length}. Expected about max_seq_length * masked_lm_prob"
        )
    buckets = args.seq_bucket_lengths or [args.max_seq_length]
    if buckets != sorted(set(buckets)) or buckets[0] < MIN_SEQ_LENGTH or buckets[-1] != args.max_seq_length:
        raise ValueError(
            f"--seq_bucket_lengths {' '.join(map(str, buckets))}: expected ascending lengths from {MIN_SEQ_LENGTH} on "
            f"to --max_seq_length {args.max_seq_length}"
        )
    for name in ("masked_lm_prob", "short_seq_prob"):
        if not 0 <= vars(args)[name] <= 1:
            raise ValueError(f"--{name} {vars(args)[name]}: expected a share between 0 and 1")
    if args.packing == FULL_SENTENCES and (args.next_sentence or args.short_seq_prob):
        raise ValueError("--packing full_sentences: expected --no-next_sentence, and no --short_seq_prob")
    if not 0 <= args.random_seed < 1 << 63:
        raise ValueError(f"--random_seed {args.random_seed}: expected 0 or more, below 2**63")
    names = args.output_file.split(",")
    if not all(names) or len({Path(name).resolve() for name in names}) < len(names):
        raise ValueError(f"--output_file {args.output_file}: expected different names, separated by commas")
    if args.work_dir is not None and not args.work_dir.is_dir():
        raise ValueError(f"--work_dir {args.work_dir}: no such directory. Make it first")


def open_work_file(work_files: ExitStack, directory: Path) -> BinaryIO:
    """Open a file without a name. The system removes it when the process ends in any way."""
    return work_files.enter_context(tempfile.TemporaryFile(dir=directory))


def tokenize(
    args: argparse.Namespace, inputs: list[Path], tokenizer: "BlockTokenizer", new_file: Callable[[], BinaryIO]
) -> "TokenStore":
    """Return the token store of the corpus: step 1."""
    from japanese_bert.common.text_files import size_on_disk
    from japanese_bert.pretraining_data.token_store import build_token_store

    with progress_bar("tokenize", size_on_disk(inputs), "B") as bar:
        store = build_token_store(inputs, tokenizer, new_file, args.num_workers, bar.update)
    needed = 2 if args.next_sentence else 1
    if store.counts.documents < needed:
        raise ValueError(
            f"{args.input_file}: {store.counts.documents} documents. Expected at least {needed} "
            f"{'(a random next sentence comes from another document) ' if args.next_sentence else ''}"
            "with blank lines between them. merge_split_corpora.py makes such files"
        )
    return store


def plan(
    args: argparse.Namespace, store: "TokenStore", separator: int, new_file: Callable[[], BinaryIO]
) -> tuple["np.ndarray", "np.ndarray"]:
    """Return the token ranges of all instances, and a random order of them: steps 2 and 3."""
    from japanese_bert.pretraining_data.instances import NO_SEPARATOR, PlanSettings, plan_instances, shuffle_instances

    settings = PlanSettings(
        args.max_seq_length,
        args.short_seq_prob,
        args.dupe_factor,
        args.random_seed,
        args.next_sentence,
        separator if args.packing == FULL_SENTENCES else NO_SEPARATOR,
    )
    with progress_bar("plan", store.counts.documents * args.dupe_factor, "doc") as bar:
        instances = plan_instances(store, settings, new_file(), bar.update)
    return instances, shuffle_instances(len(instances), args.random_seed, new_file())


def check_use(args: argparse.Namespace, counts: "CorpusCounts", instances: "np.ndarray") -> dict[str, int]:
    """Return the tokens that all passes use and cut. Raise ValueError if the text is not one sentence per line.

    BERT's algorithm cuts a longer line to an instance, and takes a random next sentence for a document of one line.
    """
    from japanese_bert.pretraining_data.instances import count_use

    total, (used, num_random) = counts.tokens * args.dupe_factor, count_use(instances)
    if args.packing == FULL_SENTENCES:
        used = total  # and separators, which are no tokens of the text
    problem = ""
    if used < MIN_SHARE_USED * total:
        problem = (
            f"the instances use {used / total:.0%} of the tokens, because most lines are longer than an instance. "
            "Expected one sentence per line. Cut the text: sed 's/。/。\\n/g'"
        )
    elif num_random == len(instances):
        problem = (
            "every next sentence would be random, because every document is one line. Expected blank lines between "
            "documents only. Remove the others"
        )
    if problem and args.check_use:
        raise ValueError(f"{args.input_file}: {problem}. Or add --no-check_use")
    return {"tokens_used": used, "tokens_cut": total - used}


def render(args: argparse.Namespace, renderer: "Renderer", files: list[BinaryIO]) -> dict[int, dict[str, int]]:
    """Write masked, encoded records to their files, and return the totals of each bucket by its length: step 4."""
    from japanese_bert.pretraining_data.rendering import RenderCount, render_instances

    num_instances = len(renderer.instances)
    if num_instances < len(files):
        raise ValueError(f"{num_instances} instances for {len(files)} outputs. Name fewer in --output_file")
    with progress_bar("render", num_instances, "instance") as bar:
        counts = render_instances(renderer, files, args.num_workers, bar.update).tolist()
    if not sum(row[RenderCount.MASKED_TOKENS] for row in counts):
        raise ValueError(
            f"--max_predictions_per_seq {args.max_predictions_per_seq}: no word fits, so nothing would be predicted. "
            "Give a larger one, or leave out --do_whole_word_mask"
        )
    names = [count.name.lower() for count in RenderCount]
    return {
        length: dict(zip(names, row, strict=True)) for length, row in zip(renderer.bucket_lengths, counts, strict=True)
    }


def summarize(counts: "CorpusCounts", rendered: dict[int, dict[str, int]], use: dict[str, int]) -> dict[str, object]:
    """Return counts in and out, rates, and the counts of what was dropped, by reason."""
    totals = {name: sum(row[name] for row in rendered.values()) for name in next(iter(rendered.values()))}
    return {
        "counts": {
            **{name: getattr(counts, name) for name in ("documents", "sentences", "words", "tokens")},
            "instances": totals["instances"],
            "masked_tokens": totals["masked_tokens"],
            "instances_without_predictions": totals["without_predictions"],
            **use,
        },
        "rates": {
            "unknown_tokens": counts.unknown_tokens / counts.tokens,
            "masked": totals["masked_tokens"] / totals["tokens"],
            "replaced_by_mask": totals["mask_tokens"] / totals["masked_tokens"],
            "kept": totals["kept_tokens"] / totals["masked_tokens"],
            "random_next": totals["random_next"] / totals["instances"],
            "mean_length": totals["tokens"] / totals["instances"],
        },
        "dropped": {
            name: getattr(counts, name) for name in ("invalid_utf8_bytes", "nul_characters", "sentences_without_tokens")
        },
        **({"buckets": summarize_buckets(rendered, totals)} if len(rendered) > 1 else {}),
    }


def summarize_buckets(rendered: dict[int, dict[str, int]], totals: dict[str, int]) -> dict[str, object]:
    """Return the instances of each bucket by its length, and the share of padding in the records."""
    padded = sum(length * row["instances"] for length, row in rendered.items())
    instances = {f"instances_up_to_{length}": row["instances"] for length, row in rendered.items()}
    return {**instances, "padding": 1 - totals["tokens"] / padded}


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)
