"""Pages can be read without seeing them, without a mouse, on a phone, and by who needs contrast (WCAG 2.2, AA)."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from data_prep.html_page import STYLE, Page
from data_prep.inspection.page import page_of

AA_TEXT = 4.5  # contrast of text of normal size


def report_page() -> str:
    page = Page("runs/<mine>")
    page.heading("Results")
    page.paragraph("Well.", "muted")
    page.bullets([("good", "good"), ("bad", "bad")])
    page.table([["key", "value"], ["loss", 1.25]])
    page.pictures({"loss-mlm.png": b"1", "learning-rate.png": b"2"})
    page.pictures({"one": b"3"}, wide=True)
    return page.text()


def inspect_page() -> str:
    description = {
        "corpus": "corpora/mine", "kind": "sequences", "fingerprint": "0" * 64, "findings": ["Nothing."],
        "splits": {}, "stages": [], "sources": [{"name": "my.fa", "bytes": 3, "sha256": "1" * 64}],
    }  # fmt: skip
    return page_of(description, {"lengths.png": b"1", "rna-types.png": b"2"})


class Seen(HTMLParser):
    """What a screen reader meets: elements with their attributes, in order."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(params=[report_page, inspect_page], ids=["report", "inspect"])
def text(request) -> str:
    return request.param()


@pytest.fixture
def seen(text) -> Seen:
    return Seen(text)


def test_the_page_says_its_language_title_and_main_part_and_fits_a_phone(seen, text):
    assert seen.all("html") == [{"lang": "en"}]
    assert re.search(r"<title>[^<]+</title>", text)
    assert len(seen.all("main")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in seen.all("meta")


def test_every_picture_has_words_and_no_two_have_the_same(seen):
    words = [picture["alt"] for picture in seen.all("img")]
    assert words
    assert all(words)
    assert len(set(words)) == len(words)


def test_headings_go_down_one_level_at_a_time_from_a_single_first_one(seen):
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_say_what_their_headers_head_and_what_scrolls_is_reached_by_keyboard(seen):
    assert seen.all("th")
    assert {header.get("scope") for header in seen.all("th")} == {"col"}
    scrolls = [each for each in seen.all("div") if "table" in str(each.get("class")).split()]
    assert scrolls
    assert all(each.get("tabindex") == "0" for each in scrolls)


def luminance(color: str) -> float:
    """Of ``#rgb`` or ``#rrggbb``, as WCAG defines it."""
    digits = color.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_known_pairs():
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_every_color_of_text_stands_out_from_the_background():
    (background,) = re.findall(r"background: (#\w+)", STYLE)
    colors = re.findall(r"(?<![-\w])color: (#\w+)", STYLE)
    assert colors
    assert {color: contrast(color, background) >= AA_TEXT for color in colors} == dict.fromkeys(colors, True)
