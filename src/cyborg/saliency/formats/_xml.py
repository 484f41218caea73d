"""Read XML safely: no entities, nothing fetched, bounded depth."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as tree
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.parsers import expat

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits

# Deepest nesting of elements that is read.
MAX_DEPTH = 64


class _TooDeep(ValueError):
    pass


class _Builder(tree.TreeBuilder):
    depth = 0

    def start(self, tag: Any, attrs: Any, /) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooDeep
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Any:
        self.depth -= 1
        return super().end(tag)


def parse_bytes(data: bytes, location: str) -> tree.Element:
    """Return the root element. Raises UserError for broken XML, entities, and deep nesting."""
    parser = DefusedXMLParser(target=_Builder(), forbid_entities=True, forbid_external=True)
    try:
        parser.feed(data)
        root: tree.Element = parser.close()
    except _TooDeep:
        raise UserError(f"XML nested deeper than {MAX_DEPTH} levels", location=location) from None
    except DefusedXmlException:
        raise UserError(
            "declares entities, which annotation files do not need and which can be abused",
            location=location,
        ) from None
    except (tree.ParseError, ValueError, LookupError) as error:
        raise UserError(
            f"is not valid XML: {_limits.quote_value(str(error))}", location=location
        ) from None
    return root


def read_file(path: Path) -> tree.Element:
    """Return the root element of an XML file."""
    return parse_bytes(_limits.read_bytes(path), str(path))


@lru_cache(maxsize=4)
def sketch_paths(head: bytes) -> frozenset[str]:
    """Return the paths of elements, up to six deep, at the beginning of XML.

    Empty if it is not XML. Attributes are `path@name`.

    >>> sorted(sketch_paths(b"<annotation><size/><object id='0'>"))[1:]
    ['annotation/object', 'annotation/object@id', 'annotation/size']
    """
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")
    if not start.startswith(b"<"):
        return frozenset()
    paths: set[str] = set()
    stack: list[str] = []

    def opened(tag: str, attributes: dict[str, str]) -> None:
        stack.append(tag)
        if len(stack) <= 6:
            path = "/".join(stack)
            paths.add(path)
            paths.update(f"{path}@{key}" for key in attributes)

    def closed(tag: str) -> None:
        stack.pop()

    def declared(*rest: object) -> None:
        raise _TooDeep

    parser = expat.ParserCreate()
    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    parser.EntityDeclHandler = declared
    with contextlib.suppress(expat.ExpatError, ValueError, LookupError):
        parser.Parse(head, False)
    return frozenset(paths)


def read_text(element: tree.Element | None, default: str = "") -> str:
    """Return the text of an element without blanks around it, or `default` if it has none."""
    return ((element.text if element is not None else None) or default).strip()


def read_attribute(element: tree.Element, name: str, location: str) -> str:
    """Return an attribute, or raise UserError if the element does not have it."""
    value = element.get(name)
    if value is None:
        raise UserError(f"<{element.tag}> has no `{name}`", location=location)
    return value
