"""Tables in ARFF, the format of openSMILE and Weka, as far as features need it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from mien.errors import FormatError

_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+\S", re.IGNORECASE)


def read_arff(path: Path) -> pd.DataFrame:
    """Return a table as a data frame: dense data, ``?`` where a value is missing.

    Raises:
        FormatError: there is no data section, or a row has another number of fields.
    """
    columns: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            text = line.strip()
            if found := _ATTRIBUTE.match(text):
                columns.append(found[1].strip("'\""))
            elif text.lower().startswith("@data"):
                break
        else:
            raise FormatError("has no @data section", path=path, advice="is it an ARFF file?")
        try:
            table = pd.read_csv(
                file,
                header=None,
                comment="%",
                quotechar="'",
                na_values="?",
                skipinitialspace=True,
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise FormatError(f"has no table under @data ({error})", path=path) from error
    if table.shape[1] != len(columns):
        raise FormatError(
            f"has {len(columns)} attributes but {table.shape[1]} fields in a row", path=path
        )
    table.columns = columns
    return table
