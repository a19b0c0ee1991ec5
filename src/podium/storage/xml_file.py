"""Reads XML that strangers wrote: no entities, which can grow without bound or name other files."""

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder  # builds the tree; `read` refuses what is dangerous
from xml.parsers import expat  # as above


def read(data: bytes) -> Element:
    """Return the tree; raises ValueError for what is no XML, or declares a document type."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise ValueError("its XML declares a document type, which may hold entities; leave it out")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"not readable XML ({error})") from None
    return builder.close()
