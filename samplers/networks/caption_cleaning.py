"""Captions as LlamaGen's text-to-image models were trained on: freed of what web pages add to them.

The rules run in the official order, each on what the one before left. Their surprises are kept,
since the models know no others: extensions of file names vanish even inside words, for example.
Source: LlamaGen `language/t5.py`, whose rules come from other text-to-image models.
"""

import re
import warnings
from html import unescape
from urllib.parse import unquote_plus

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning
from ftfy import fix_text

Rules = tuple[tuple[re.Pattern[str], str], ...]

DOMAINS = "com|co|ru|net|org|edu|gov|it"
FILES = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"
DASHES = (
    r"\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    r"\ufe31\ufe32\ufe58\ufe63\uff0d"
)
JOINT = re.compile("[-_]")
MOST_JOINTS = 3  # a caption with more is a file name whose words they join


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


def _link(scheme: str) -> str:
    domain = rf"[a-zA-Z0-9.\-]+[.](?:{DOMAINS})[\w/-]*\b/?(?!@)"
    return rf"\b(?:{scheme}:(?:/{{1,3}}|[a-zA-Z0-9%])|{domain})"


LINKS = _rules((_link("https?"), ""), (_link("www"), ""))
SIGNS = _rules(
    (r"@\w+\b", ""),
    (r"[\u31c0-\u9fff]+", ""),  # Chinese, Japanese and Korean signs
    (f"[{DASHES}]+", "-"),
    ("[`´«»“”¨]", '"'),
    ("[‘’]", "'"),
    (r"&quot;?", ""),
    (r"&amp", ""),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),
    (r"\d:\d\d\s+$", ""),
    (r"\\n", " "),
    (r"#\d{1,3}\b", ""),
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),
    (rf"\S+\.(?:{FILES})", ""),
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~)(\]\[}{|\\/*]+", " "),
    (r"\s+\.\s+", " "),
)
PHRASES = _rules(
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b(?:{FILES})(?:\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),
    (r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", ""),
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
    (r"^[\"']([\w\W]+)[\"']$", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)


def clean_caption(caption: str) -> str:
    """Return a caption as the text encoder is to read it: cleaned twice, as officially."""
    return _cleaned(_cleaned(caption))


def _cleaned(text: str) -> str:
    text = unquote_plus(text).strip().lower().replace("<person>", "person")
    text = _apply(SIGNS, _without_tags(_apply(LINKS, text)))
    if len(JOINT.findall(text)) > MOST_JOINTS:
        text = JOINT.sub(" ", text)
    text = unescape(unescape(fix_text(text))).strip()
    return _apply(PHRASES, text).strip()


def _apply(rules: Rules, text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _without_tags(text: str) -> str:
    with warnings.catch_warnings():  # of captions that look like a file or an address
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        return BeautifulSoup(text, "html.parser").text
