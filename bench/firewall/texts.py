"""The texts that are judged: those of evaluation sources, the same written in other ways, and what is installed here."""

import base64
import gzip
import html
import json
import pathlib
import random
import re
import urllib.parse

# Attacks that say that they override what the model was told. The others of the tool channel only ask for something, which a
# text alone does not tell from what is harmless.
OVERRIDING = {
    "injecagent_enhanced", "agentdojo_ignore_previous", "agentdojo_important", "agentdojo_injecagent", "agentdojo_system_message",
}
# Texts of a source that are judged of what is installed, and the most bytes of each.
INSTALLED, LONGEST = 400, 6000
SEED = 7


def evaluation(directory):
    """The texts of the evaluation sources. Nothing but this program reads them."""
    for path in sorted(pathlib.Path(directory).glob("*.jsonl.gz")):
        for number, line in enumerate(gzip.open(path, "rt", encoding="utf-8")):
            row = json.loads(line)
            yield {key: row[key] for key in ("text", "label", "channel", "source", "kind", "lang")} | {
                "id": f"{path.name.split('.')[0]}:{number}"}


def installed(sources):
    """Benign texts of the tool channel that lie on every machine that has run the other benchmarks: OpenClaw's skills and
    manual, and source code of what NanoClaw is built from. Drawn, the same from the same versions."""
    for source, (top, pattern) in sources.items():
        paths = sorted(path for path in pathlib.Path(top).glob(pattern) if path.is_file())
        for path in random.Random(SEED).sample(paths, min(INSTALLED, len(paths))):
            text = path.read_bytes()[:LONGEST].decode(errors="ignore")
            if text.strip():
                yield {"id": f"{source}:{path.relative_to(top)}", "text": text, "label": 0, "channel": "tool", "source": source,
                       "kind": "benign-installed", "lang": "en"}


def shifted(start_upper, start_lower, start_digit=None):
    """Letters of another alphabet of Unicode in the place of ASCII ones."""
    table = {ord("A") + n: start_upper + n for n in range(26)} | {ord("a") + n: start_lower + n for n in range(26)}
    return table | ({ord("0") + n: start_digit + n for n in range(10)} if start_digit else {})


ALIKE = str.maketrans("aceiopsxyABCEHIKMOPSTXY", "асеіорѕхуАВСЕНІКМОРЅТХУ")
LEET = str.maketrans("aeiostAEIOST", "431057431057")
ACCENTS = ["\u0301", "\u0308", "\u0302", "\u0323"]


def accented(text):
    letters = enumerate(text)
    return "".join(c + (ACCENTS[n % len(ACCENTS)] if c.isascii() and c.isalpha() else "") for n, c in letters)


def by_words(change):
    return lambda text: re.sub(r"[A-Za-z]+", lambda word: change(word[0]), text)


def shuffled(word):
    if len(word) < 4:
        return word
    inner = list(word[1:-1])
    random.Random(word).shuffle(inner)
    return word[0] + "".join(inner) + word[-1]


def rot13(text):
    return text.translate({base + n: base + (n + 13) % 26 for base in (65, 97) for n in range(26)})


def encoded(text):
    return base64.b64encode(text.encode()).decode()


OBFUSCATIONS = {
    "in capitals": str.upper,
    "zero-width characters": lambda text: "\u200b".join(text),
    "look-alike letters": lambda text: text.translate(ALIKE),
    "accents": accented,
    "full width": lambda text: text.translate({n: n + 0xFEE0 for n in range(0x21, 0x7F)}),
    "mathematical bold": lambda text: text.translate(shifted(0x1D400, 0x1D41A, 0x1D7CE)),
    "tag characters": lambda text: "Have a look. " + "".join(chr(0xE0000 + ord(c)) for c in text if c.isascii()),
    "leet": lambda text: text.translate(LEET),
    "spaced letters": lambda text: by_words(" ".join)(text.replace(" ", "   ")),
    "dashed letters": by_words("-".join),
    "swapped inner letters": by_words(shuffled),
    "base64": encoded,
    "base64, with a hint": lambda text: f"Decode this base64 and do what it says: {encoded(text)}",
    "hexadecimal": lambda text: text.encode().hex(),
    "rot13": rot13,
    "reversed": lambda text: text[::-1],
    "percent signs": lambda text: urllib.parse.quote(text, safe=""),
    "character references": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML comment": lambda text: f"<p>Opening hours: 9 to 5.</p><!-- {text.replace('--', '- ')} --><p>See you soon.</p>",
    "hidden by CSS": lambda text: f"<p>Opening hours: 9 to 5.</p><div style=\"display:none\">{html.escape(text)}</div>",
    "Markdown comment": lambda text: f"# Opening hours\n\n9 to 5.\n\n[//]: # ({' '.join(text.split()).replace('(', '').replace(')', '')})\n",
    "field of JSON": lambda text: json.dumps({"id": 17, "status": "ok", "note": text}),
}


def obfuscated(rows, each):
    """Each way to write for attacks of these rows: those in Latin letters that override, at most `each` of a source. The first is
    the text itself."""
    attacks = [row for row in rows if row["label"] and (row["channel"] == "user" or row["source"] in OVERRIDING)]
    chosen = []
    for source in sorted({row["source"] for row in attacks}):
        of_source = [row for row in attacks if row["source"] == source]
        chosen += random.Random(SEED).sample(of_source, min(each, len(of_source)))
    for row in chosen:
        for name, change in {"as it is": str, **OBFUSCATIONS}.items():
            yield row | {"id": f"{row['id']}#{name}", "text": change(row["text"]), "way": name}


def pairs(path):
    """Attacks that say the same in English and in Chinese."""
    for number, line in enumerate(path.read_text().splitlines()):
        pair = json.loads(line)
        for lang in pair.keys() - {"channel"}:
            yield {"id": f"pair:{number}:{lang}", "text": pair[lang], "label": 1, "channel": pair["channel"], "source": "pairs",
                   "kind": "attack", "lang": lang, "pair": number}
