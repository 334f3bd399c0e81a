"""Train a model that comes with mien, and put it into the package.

    python -m tools.ship default vavl        # those; without a name, all of them

Each is what ``mien train RECIPE --out FILE`` makes of the recipe of the same name in
``mien.experiments.recipes``; the hash then goes into the index and the card beside
the file. Needs the data folder (``MIEN_DATA``). Runs that were finished before are not run again.
"""

from __future__ import annotations
