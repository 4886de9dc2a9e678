"""Words of all planes of Unicode, of which scripts/golden_fasttext.py asks fastText and a test asks us."""

__all__ = ["SOME", "words"]

SOME = ["<", "a", "ab", "</s>", "<a>", "tea", "é", "日本", "日本語の単語", "naïve", "e\u0301\u200d", "🙂🙃"]


def words() -> list[str]:
    """10^5 words of characters from all planes, by a congruential generator that any language has."""
    state, made = 12345, list(SOME)

    def below(bound: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % bound

    ranges = ((97, 26), (0x80, 0x780), (0x800, 0xD000), (0xE000, 0x2000), (0x10000, 0x100000), (0x21, 0x5E))
    while len(made) < 100_000:
        word = ""
        for _ in range(1 + below(13)):
            start, count = ranges[below(6)]
            word += chr(start + below(count))
        made.append(word)
    return made
