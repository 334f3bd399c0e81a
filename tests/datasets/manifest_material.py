"""What tests of manifests read: recordings, tables, files of features."""

from __future__ import annotations

SECONDS = 2.0


def write(folder, text, name="mine.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def features(folder, name, columns=("x", "y"), hop=0.5, steps=4):
    lines = [",".join(("time", *columns))]
    lines += [
        ",".join([f"{i * hop:g}", *(f"{i + n}" for n in range(len(columns)))]) for i in range(steps)
    ]
    return write(folder, "\n".join(lines), name)


MOODS = """\
path,person,mood
clips/a.wav,anna,tense
clips/b.wav,ben,very calm
clips/c.wav,cleo,tense
clips/d.wav,anna,very calm
clips/e.wav,ben,
"""

STRETCHES = """\
path,person,mood,start,end,channel
clips/a.wav,anna,tense,0,1,1
clips/a.wav,ben,calm,0,1,2
clips/a.wav,anna,calm,1,,1
clips/b.wav,cleo,tense,,1.5,
"""
