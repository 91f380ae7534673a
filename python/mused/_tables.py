"""pandas, where it is installed."""

from __future__ import annotations

import sys
from typing import Any

from ._errors import MusedError


def pandas() -> Any:
    """The module, asked for when a table is."""
    try:
        import pandas
    except ImportError as error:
        raise MusedError(
            "tables are made by pandas, which is not installed: `pip install pandas`; without it, `results` of a run "
            "holds the same numbers"
        ) from error
    return pandas


def is_frame(value: Any) -> bool:
    """Whether a value is a DataFrame. Who has one has pandas imported."""
    module = sys.modules.get("pandas")
    return module is not None and isinstance(value, module.DataFrame)


def is_series(value: Any) -> bool:
    """Whether a value is a Series."""
    module = sys.modules.get("pandas")
    return module is not None and isinstance(value, module.Series)


def counts_up(index: Any) -> bool:
    """Whether an index is what pandas gives rows that have none: 0, 1, 2 ..."""
    return isinstance(index, sys.modules["pandas"].RangeIndex)
