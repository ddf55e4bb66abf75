"""A model directory as its users load it; a script for either environment. Prints one line of JSON.

Each class is loaded in turn; what it writes to stderr follows a line with its name there.
"""

import json
import sys
from importlib import metadata

SENTENCES = ("彼は静かに[MASK]を見た。", "私は東京へ[MASK]ました。", "吾輩[MASK]猫である。")


def load(name: str, directory: str, **options):
    """The object, or None where this version has no such class."""
    import transformers

    print(f"=== {name}", file=sys.stderr, flush=True)
    try:
        return getattr(transformers, name).from_pretrained(directory, **options)
    except (AttributeError, ImportError):
        return None


def main(directory: str) -> None:
    from transformers import pipeline

    tokenizer = load("AutoTokenizer", directory)
    found = {
        "version": metadata.version("transformers"),
        "pair": dict(tokenizer("今日は", "晴れです")),
        "logits": {
            name: load(name, directory)(**tokenizer(SENTENCES[0], return_tensors="pt"))[0].shape[-1]
            for name in ("AutoModelForMaskedLM", "AutoModelForPreTraining")
        },
        "loaded": [
            name
            for name, options in (
                ("TFBertForPreTraining", {"use_safetensors": False}),
                ("TFBertForMaskedLM", {"use_safetensors": False}),
                ("FlaxBertForPreTraining", {}),
            )
            if load(name, directory, **options) is not None
        ],
    }
    print("=== pipeline", file=sys.stderr, flush=True)
    fill_mask = pipeline("fill-mask", model=directory, top_k=5)
    predictions = [fill_mask(sentence) for sentence in SENTENCES]
    found["tokens"] = [[item["token_str"] for item in items] for items in predictions]
    found["scores"] = [[item["score"] for item in items] for items in predictions]
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
