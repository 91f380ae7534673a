"""Compares the tokenizer with OpenAI's algorithm in Python, on thousands of odd strings.

    cargo build --release -p mused-clip --example tokenize
    python bench/clip_tokens.py target/release/examples/tokenize FOLDER

FOLDER holds OpenAI's bpe_simple_vocab_16e6.txt.gz. Needs ftfy and regex.
"""

import functools
import gzip
import html
import json
import random
import subprocess
import sys
import unicodedata
from pathlib import Path

import ftfy
import regex

PATTERN = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


class Tokenizer:
    """Byte-pair encoding by its definition: merge the best-ranked pair everywhere, again and again."""

    def __init__(self, path):
        lines = gzip.open(path).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
        pairs = [tuple(line.split()) for line in lines]
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [byte for byte in range(256) if byte not in printable]
        self.bytes = {byte: chr(byte) for byte in printable}
        self.bytes |= {byte: chr(256 + index) for index, byte in enumerate(others)}
        symbols = list(self.bytes.values())
        vocabulary = symbols + [s + "</w>" for s in symbols] + ["".join(pair) for pair in pairs]
        vocabulary += ["<|startoftext|>", "<|endoftext|>"]
        self.numbers = {token: number for number, token in enumerate(vocabulary)}
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}

    @functools.cache
    def word(self, word):
        if word in ("<|startoftext|>", "<|endoftext|>"):
            return [self.numbers[word]]
        parts = [self.bytes[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:]))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, float("inf")))
            if best not in self.ranks:
                break
            merged, at = [], 0
            while at < len(parts):
                if tuple(parts[at : at + 2]) == best:
                    merged.append("".join(best))
                    at += 2
                else:
                    merged.append(parts[at])
                    at += 1
            parts = merged
        return [self.numbers[part] for part in parts]

    def __call__(self, text, **options):
        text = ftfy.fix_text(text, **options)
        text = html.unescape(html.unescape(text)).strip()
        text = regex.sub(r"\s+", " ", text).strip().lower()
        ids = [number for word in PATTERN.findall(text) for number in self.word(word)]
        return [self.numbers["<|startoftext|>"], *ids, self.numbers["<|endoftext|>"]]


def odd_strings(count):
    draw = random.Random(1)
    names = list(html.entities.html5)
    words = (
        "a photo of the dog's tail it's don't we'll I'M they've you're he'd ſ'ſ O'Brien 3.14 1990s £5 50% ½ ² Ⅻ "
        "naïve café ÉLAN straße İstanbul ΣΊΣΥΦΟΣ日本語 テスト 中文 한국어 ไทย עברית العربية हिन्दी ☕ 👍🏽 👨‍👩‍👧 🏴󠁧󠁢󠁷󠁬󠁳󠁿 ﬁsh ﬂuﬃest ĳs ǆ "
        "ｆｕｌｌ　ｗｉｄｔｈ ﾃｽﾄ “quoted” ‘single’ ŉ dash—en–dots… <b> </b> <br/> &lt;b&gt; &amp;amp; &amp;lt; &amp &copy "
        "&notit; &#39; &#x27; &#128512; &#0; &#xD800; &#99999999999; &EACUTE; &SZLIG; &#150; &#x80; <|endoftext|> "
        "<|startoftext|> <|END| __x__ a_b #tag @user http://x.y/z?a=b&c=d !!! ?!?! ... -- ^_^ \\ / \x1b[31mred\x1b[0m "
        "\x00 \x07 \x85 \u2028 \u200b \u200d \ufeff \x1c \xa0 \u3000 e\u0301 \u0345 \u1e9e 𝒥 𝟘 𐍈 ё Ёж"
    ).split(" ")
    ranges = [(32, 127)] * 8 + [(0, 256), (0x100, 0x250), (0x370, 0x600), (0x2000, 0x2c00), (0x3000, 0x30ff)]
    ranges += [(0x4E00, 0x5000), (0xAC00, 0xAD00), (0xF900, 0xFFFE), (0x1F300, 0x1F700), (0x10000, 0x1F000)]
    texts = ["", " ", "\n", "&", "&;", "&#;", "&#x;", "'", "'s", "a" * 3000, "ab " * 2000, "'" * 200, "<" * 50]
    texts += ["&" + name for name in names] + ["x &" + name.upper() + "y" for name in names]
    while len(texts) < count:
        parts = []
        for _ in range(draw.randint(1, 12)):
            kind = draw.random()
            if kind < 0.6:
                parts.append(draw.choice(words))
            elif kind < 0.7:
                parts.append("&" + draw.choice(names)[: draw.randint(1, 40)])
            else:
                low, high = draw.choice(ranges)
                codes = (draw.randrange(low, high) for _ in range(draw.randint(1, 8)))
                parts.append("".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))
        texts.append(draw.choice(["", " ", "  ", "\t", "\n"]).join(parts))
    return texts


def main():
    binary, folder = sys.argv[1:3]
    texts = odd_strings(20_000)
    run = subprocess.run([binary, folder], input=json.dumps(texts), capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    tokenizer = Tokenizer(Path(folder) / "bpe_simple_vocab_16e6.txt.gz")
    wrong = encoding = newer = 0
    for text, ids in zip(texts, found, strict=True):
        if any(unicodedata.category(c) == "Cn" for c in text):
            newer += 1
            continue
        if ids != tokenizer(text, fix_encoding=False):
            wrong += 1
            if wrong <= 20:
                print("differs:", ascii(text), ids, tokenizer(text, fix_encoding=False))
        encoding += ids != tokenizer(text)
    print(f"{len(texts)} texts, {newer} of them left out: characters unknown to Unicode {unicodedata.unidata_version}")
    print(f"{wrong} differ from OpenAI's with ftfy.fix_text(fix_encoding=False)")
    print(f"{encoding} differ from OpenAI's with ftfy's guesses of wrong encodings")


if __name__ == "__main__":
    main()
