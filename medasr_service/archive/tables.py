"""Parquet, where pyarrow is installed (the extra archive): rows as columns, and back."""

import io
import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from medasr_service.errors import UsageError

Json = dict[str, Any]
PLAIN = ("file", "version", "fingerprint", "sha256", "text", "raw_text", "error", "code", "check")
NUMBERS = ("duration", "doubts")


def require() -> None:
    """Raises UsageError where Parquet cannot be read and written."""
    if find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install 'medasr-service[archive]'")


def column(content: bytes, name: str) -> list[str]:
    """Raises ValueError where it is no Parquet with such a column of text."""
    require()
    import pyarrow
    from pyarrow import parquet

    try:
        values: list[str] = parquet.read_table(io.BytesIO(content), columns=[name])[name].to_pylist()
    except (pyarrow.ArrowException, OSError, KeyError):
        raise ValueError(f"is no Parquet with a column {name}") from None
    if not all(isinstance(value, str) and value for value in values):
        raise ValueError(f"has something else than names in its column {name}")
    return values


def write(rows: Sequence[Json]) -> bytes:
    """What programs ask for has columns; ``row`` is all of it, as JSON."""
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema(
        [(name, pyarrow.string()) for name in PLAIN]
        + [("duration", pyarrow.float64()), ("doubts", pyarrow.int64()), ("row", pyarrow.string())]
    )
    columns = {name: [row.get(name) for row in rows] for name in (*PLAIN, *NUMBERS)}
    columns["row"] = [json.dumps(row, ensure_ascii=False) for row in rows]
    out = io.BytesIO()
    parquet.write_table(
        pyarrow.table(columns, schema=schema),
        out,
        compression="zstd",
        write_page_checksum=True,
        write_statistics=False,  # no checksum is over them
    )
    return out.getvalue()


def read(content: bytes) -> list[Json]:
    """Raises ValueError where it is damaged."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content), page_checksum_verification=True)
        found = [(dict(json.loads(each["row"])), each) for each in table.to_pylist()]
    except (pyarrow.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(type(error).__name__) from None
    if any(row.get(name) != each.get(name) for row, each in found for name in (*PLAIN, *NUMBERS)):
        raise ValueError("its columns are not those of its rows")
    return [row for row, _ in found]
