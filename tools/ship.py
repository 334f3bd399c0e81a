"""Train a model that comes with mien, and put it into the package.

    python -m tools.ship default vavl        # those; without a name, all of them

Each is what ``mien train RECIPE --out FILE`` makes from the recipe of the same name in
``mien.experiments.recipes``; this then notes the file's hash in the index and writes the card beside
it. Needs the data folder (``MIEN_DATA``). Runs that were finished before are not run again.
"""

from __future__ import annotations
