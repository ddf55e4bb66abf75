"""Load a model directory as its users do, in any environment, and print one line of JSON.

The script loads each class in turn. On stderr a line with the name of the class comes before its messages.
"""

import json
import sys
from importlib import metadata

SENTENCES = ("彼は静かに[MASK]を見た。", "私は東京へ[MASK]ました。", "吾輩[MASK]猫である。")


def load(name: str, directory: str, **options):
    """Return the object, or None if this version has no such class."""
    import transformers

    print(f"=== {name}", file=sys.stderr, flush=True)
    try:
        return getattr(transformers, name).from_pretrained(directory, **options)
    except (AttributeError, ImportError):
        return None


def main(directory: str) -> None:
    from transformers import pipeline

    with open(f"{directory}/config.json", encoding="utf-8") as file:
        architecture = json.load(file)["architectures"][0]
    name, _, use = architecture.partition("For")
    fills_masks = architecture != "ElectraForPreTraining"
    classes = ["AutoModelForMaskedLM"] if fills_masks else ["AutoModel"]
    classes += ["AutoModelForPreTraining"] if use == "PreTraining" else []
    # A model for pretraining also gives its encoder and masked LM head.
    others = [(f"TF{architecture}", {"use_safetensors": False}), (f"Flax{architecture}", {})]
    if fills_masks and use == "PreTraining":
        others.insert(1, (f"TF{name}ForMaskedLM", {"use_safetensors": False}))
    tokenizer = load("AutoTokenizer", directory)
    encoded = tokenizer(SENTENCES[0], return_tensors="pt")
    found = {
        "version": metadata.version("transformers"),
        "pair": dict(tokenizer("今日は", "晴れです")),
        "shapes": {item: list(load(item, directory)(**encoded)[0].shape) for item in classes},
        "loaded": [item for item, options in others if load(item, directory, **options) is not None],
    }
    if fills_masks:
        print("=== pipeline", file=sys.stderr, flush=True)
        fill_mask = pipeline("fill-mask", model=directory, top_k=5)
        predictions = [fill_mask(sentence) for sentence in SENTENCES]
        found["tokens"] = [[item["token_str"] for item in items] for items in predictions]
        found["scores"] = [[item["score"] for item in items] for items in predictions]
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1])
