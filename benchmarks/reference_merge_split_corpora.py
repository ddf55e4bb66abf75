"""The plain way to split a corpus: a loop over lines, and a random shard for each document.

Used by bench_corpus.py only.
"""

import argparse
import random
from contextlib import ExitStack
from pathlib import Path


def main(args: argparse.Namespace) -> None:
    generator = random.Random(args.random_seed)
    args.output_dir.mkdir(parents=True)
    with ExitStack() as stack:
        source = stack.enter_context(open(args.input_files, encoding="utf-8", errors="ignore", newline="\n"))
        names = [args.output_dir / f"corpus_{number:02d}.txt" for number in range(1, args.num_files + 1)]
        shards = [stack.enter_context(open(name, "w", encoding="utf-8", newline="\n")) for name in names]
        document: list[str] = []
        for line in source:
            line = " ".join(line.split())
            if line:
                document.append(line)
            elif document:
                generator.choice(shards).write("\n".join(document) + "\n\n")
                document = []
        if document:
            generator.choice(shards).write("\n".join(document) + "\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input_files", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_files", type=int, required=True)
    parser.add_argument("--random_seed", type=int, default=12345)
    main(parser.parse_args())
