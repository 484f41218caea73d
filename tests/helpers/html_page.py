"""Read a page of HTML in a test, and check that its tags are closed in order."""

from __future__ import annotations

import html.parser


class HtmlPage(html.parser.HTMLParser):
    """The tags and attributes of a page.

    Raises AssertionError if a tag is closed that is not the last one opened, or is left open.
    """

    void = {"meta", "img", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def list_images(self) -> list[str]:
        """Return the `src` of all images."""
        return [value or "" for name, value in self.attributes if name == "src"]
