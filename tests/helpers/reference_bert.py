"""BERT's data algorithm in its slow, obvious form, for tests only.

It follows the description in Devlin et al. 2019, with lists and a numpy generator. It shares no code and no random
numbers with the package, so only distributions can agree.
"""


def plan_document(documents: list[list[int]], number: int, max_seq_length: int, short_seq_prob: float, rng) -> list:
    """Return (length of A, length of B, is_random_next) for each instance. `documents` are sentence lengths."""
    room = max_seq_length - 3
    target = int(rng.integers(2, room + 1)) if rng.random() < short_seq_prob else room
    sentences = documents[number]
    instances = []
    index = 0
    chunk: list[int] = []
    while index < len(sentences):
        chunk.append(sentences[index])
        if index == len(sentences) - 1 or sum(chunk) >= target:
            cut = int(rng.integers(1, len(chunk))) if len(chunk) > 1 else 1
            length_a = sum(chunk[:cut])
            random_next = len(chunk) == 1 or rng.random() < 0.5
            if random_next:
                length_b = random_next_length(documents, number, target - length_a, rng)
                index -= len(chunk) - cut
            else:
                length_b = sum(chunk[cut:])
            while length_a + length_b > room:
                if length_a > length_b:
                    length_a -= 1
                else:
                    length_b -= 1
            instances.append((length_a, length_b, random_next))
            chunk = []
        index += 1
    return instances


def random_next_length(documents: list[list[int]], number: int, wanted: int, rng) -> int:
    others = [index for index in range(len(documents)) if index != number]
    other = documents[int(rng.choice(others))]
    length = 0
    for sentence in other[int(rng.integers(len(other))) :]:
        length += sentence
        if length >= wanted:
            break
    return length


def choose_masked(words: list[list[int]], quota: int, rng) -> frozenset[int]:
    """Return the positions of masked words. Words come in random order, and one that exceeds the quota is skipped."""
    chosen: list[int] = []
    for index in rng.permutation(len(words)):
        if len(chosen) >= quota:
            break
        if len(chosen) + len(words[index]) <= quota:
            chosen += words[index]
    return frozenset(chosen)
