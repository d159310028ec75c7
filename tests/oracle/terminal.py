"""A program on a real terminal (a pty), as a person meets it: what it writes and when, and keys sent to it.

    with Terminal([LATHE, "chat", model]) as t:
        t.expect("> ")
        t.send("hello\\n")
        t.interrupt()               # Ctrl-C, as the terminal driver sends it
        ...
        assert t.finish() == 0
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"
DEADLINE = 120  # seconds until a test gives up: far above what is expected, since machines may be busy


class Terminal:
    """`stdout` and `stderr` go to the terminal unless given."""

    def __init__(self, args, columns=100, stdout=None, stderr=None, deadline=DEADLINE, **popen):
        self.deadline = deadline
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = dict(os.environ, TERM="xterm", **popen.pop("env", {}))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(args, stdin=slave, stdout=stdout or slave, stderr=stderr or slave, env=env,
                                        preexec_fn=own_terminal, **popen)
        os.close(slave)
        self.output = ""  # all of it
        self.at = 0  # what expect() has not passed yet begins here
        self.pieces = []  # (seconds since the start, text) as they came
        self.start = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def read(self, seconds):
        """Waits for output at most so long; False at the end of it."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:  # Linux: the other side is closed
            data = b""
        text = data.decode(errors="replace")
        self.output += text
        self.pieces.append((time.monotonic() - self.start, text))
        return bool(data)

    def expect(self, pattern):
        """Reads until `pattern` (a regular expression) comes, and passes it. Returns the match."""
        deadline = time.monotonic() + self.deadline
        while not (found := re.compile(pattern, re.S).search(self.output, self.at)):
            assert self.read(1) and time.monotonic() < deadline, f"no {pattern!r} in {self.output[self.at:]!r}"
        self.at = found.end()
        return found

    def expect_keys(self):
        """Waits until the program takes key by key (an editor is at work), as it does shortly after its prompt."""
        deadline = time.monotonic() + self.deadline
        while termios.tcgetattr(self.master)[3] & termios.ICANON:
            assert time.monotonic() < deadline
            self.read(0.01)

    def send(self, keys):
        os.write(self.master, keys.encode())

    def interrupt(self):
        self.send(CTRL_C)

    def finish(self):
        """Reads to the end; the exit code."""
        deadline = time.monotonic() + self.deadline
        while self.read(1):
            assert time.monotonic() < deadline, f"still running after {self.output[-500:]!r}"
        return self.process.wait(10)

    def screen(self):
        """The lines that stand on the terminal in the end: carriage returns overwrite, escapes are left out."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output)
        lines = [""]
        column = 0
        for c in text:
            if c == "\n":
                lines.append("")
                column = 0
            elif c == "\r":
                column = 0
            elif c == "\b":
                column = max(0, column - 1)
            else:
                line = lines[-1].ljust(column)
                lines[-1] = line[:column] + c + line[column + 1:]
                column += 1
        return [line.rstrip() for line in lines]

    def longest_silence(self):
        """(seconds, what stood before it): the longest time without output, the end included."""
        times = [0.0] + [at for at, _ in self.pieces]
        texts = [""] + [text for _, text in self.pieces]
        return max(((b - a, text) for a, b, text in zip(times, times[1:], texts)), default=(0.0, ""))


