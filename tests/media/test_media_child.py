"""The child process: confined, replaceable, never waited for in vain, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from media import make
from media.make import Picture, Sound, regular, tone, write
from mien.errors import DecoderCrash, InputError, LimitError
from mien.media import Decoder, Frame, Limits


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """Far more than fits into the pipe and the child's outbox."""
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    picture = Picture(regular(250), "mjpeg", 640, 480, "yuvj420p")
    return write(path, picture, Sound(tone(10.0, 44_100)))


@pytest.fixture(scope="module")
def short_file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("short") / "short.mp4", Picture([0.0]))


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_one_child_for_all_files_started_when_needed(tmp_path, short_file):
    with Decoder() as decoder:
        assert decoder.child_pid is None
        with pytest.raises(InputError):
            decoder.probe(tmp_path / "missing.mp4")
        assert decoder.child_pid is None
        pids = {(decoder.probe(short_file), decoder.child_pid)[1] for _ in range(3)}
        assert len(pids) == 1
    assert decoder.child_pid is None
    assert gone(pids.pop())


def test_killed_in_the_middle(long_file, short_file):
    with Decoder() as decoder:
        stream = decoder.stream(long_file, video_hz=25)
        next(stream)
        os.kill(decoder.child_pid, signal.SIGKILL)
        with pytest.raises(DecoderCrash, match=r"died of signal 9 \(Killed\)") as caught:
            list(stream)
        assert caught.value.path == str(long_file)
        assert list(stream) == []
        assert len(list(decoder.stream(short_file))) == 1
        assert decoder.starts == 2


def test_killed_between_files(short_file):
    with Decoder() as decoder:
        decoder.probe(short_file)
        pid = decoder.child_pid
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: gone(pid))
        assert decoder.probe(short_file).video is not None
        assert decoder.starts == 2


def test_a_child_that_hangs_overruns_its_deadline(long_file, short_file):
    with Decoder(limits=Limits(deadline_s=2.0, slowness=0.0)) as decoder:
        stream = decoder.stream(long_file, video_hz=25)
        pid = decoder.child_pid
        next(stream)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(LimitError, match="took too long"):
            list(stream)
        assert gone(pid)
        assert len(list(decoder.stream(short_file))) == 1


def test_a_slow_reader_is_no_overrun(long_file):
    with Decoder(limits=Limits(deadline_s=1.0, slowness=100.0)) as decoder:
        stream = decoder.stream(long_file, video_hz=25)
        next(stream)
        time.sleep(1.5)
        assert sum(isinstance(item, Frame) for item in stream) == 249


def test_closing_early_leaves_the_child_ready(long_file, short_file):
    with Decoder() as decoder:
        for _ in range(3):
            with decoder.stream(long_file, video_hz=25) as stream:
                next(stream)
            with pytest.raises(RuntimeError, match="closed before its end"):
                next(stream)
            assert len(list(decoder.stream(short_file))) == 1
        assert decoder.starts == 1


def test_the_next_stream_closes_the_one_before(long_file, short_file):
    with Decoder() as decoder:
        left = decoder.stream(long_file, video_hz=25)
        next(left)
        assert len(list(decoder.stream(short_file))) == 1
        with pytest.raises(RuntimeError, match="closed before its end"):
            next(left)
        assert decoder.starts == 1


def test_closing_the_decoder_closes_its_stream(long_file):
    decoder = Decoder()
    stream = decoder.stream(long_file, video_hz=25)
    decoder.close()
    with pytest.raises(RuntimeError, match="closed before its end"):
        next(stream)
    decoder.close()


def test_the_child_does_not_run_far_ahead(long_file):
    """250 frames of 640 × 480 are 230 MB; the child must hold only a few of them."""
    with Decoder() as decoder:
        decoder.probe(long_file)
        child = psutil.Process(decoder.child_pid)
        before = child.memory_info().rss
        with decoder.stream(long_file, video_hz=25) as stream:
            next(stream)
            time.sleep(1.0)
            assert child.memory_info().rss - before < 40 << 20


def test_fifty_files_leak_nothing(tmp_path, short_file, long_file):
    text = tmp_path / "text.mp4"
    text.write_text("hello")
    me = psutil.Process()
    with Decoder() as decoder:
        decoder.probe(short_file)
        child = psutil.Process(decoder.child_pid)
        counts = []
        for index in range(50):
            if index % 10 == 3:
                with decoder.stream(long_file) as stream:
                    next(stream)
            elif index % 10 == 5:
                with pytest.raises(Exception, match="known format"):
                    decoder.probe(text)
            else:
                list(decoder.stream(short_file))
            counts.append((me.num_fds(), child.num_fds(), child.num_threads(), len(me.children())))
        assert decoder.starts == 1
    assert len(set(counts[10:])) == 1


def test_restarts_leak_nothing(long_file):
    me = psutil.Process()
    before = (me.num_fds(), len(me.children()))
    with Decoder() as decoder:
        for _ in range(4):
            stream = decoder.stream(long_file, video_hz=25)
            os.kill(decoder.child_pid, signal.SIGKILL)
            with pytest.raises(DecoderCrash):
                list(stream)
        assert decoder.starts == 4
    assert (me.num_fds(), len(me.children())) == before


def test_the_child_is_confined(short_file):
    with Decoder(limits=Limits(memory_bytes=1 << 30)) as decoder:
        decoder.probe(short_file)
        lines = Path(f"/proc/{decoder.child_pid}/limits").read_text().splitlines()
        limits = {line[:25].strip(): line[25:].split()[:2] for line in lines}
    assert limits["Max address space"] == [str(1 << 30)] * 2
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max file size"] == ["0", "0"]


def test_the_child_dies_with_its_parent(long_file):
    script = textwrap.dedent(f"""
        import time
        from mien.media import Decoder
        decoder = Decoder()
        stream = decoder.stream({str(long_file)!r}, video_hz=25)
        print(decoder.child_pid, flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: gone(child))


def test_neither_side_imports_torch_and_the_parent_no_decoder(short_file):
    script = textwrap.dedent(f"""
        import sys
        from mien.media import Decoder
        with Decoder() as decoder:
            decoder.probe({str(short_file)!r})
            maps = open(f"/proc/{{decoder.child_pid}}/maps").read()
        print("torch" in sys.modules, "av" in sys.modules, "torch" in maps, "libavcodec" in maps)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "False", "True"]


def test_a_script_without_a_main_guard_works(tmp_path):
    sound = make.wave(tmp_path / "a.wav", tone(0.5, 16_000), 16_000)
    script = tmp_path / "script.py"
    script.write_text(f"from mien.media import Decoder\nprint(Decoder().probe({str(sound)!r}))\n")
    (tmp_path / "av.py").write_text("raise SystemExit('the wrong av')")
    done = subprocess.run(
        [sys.executable, "-P", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "duration=0.5" in done.stdout
