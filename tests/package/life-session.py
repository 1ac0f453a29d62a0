#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An initiator that writes and reads what it wrote until SIGTERM; a lost connection or a failed command ends it badly."""
import pathlib
import signal
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE, HERE.parent):      # beside it in the tree, below it in the package test
    sys.path.insert(0, str(folder / 'dialogue'))
from session import Session  # noqa: E402

over = []
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
session = Session(('127.0.0.1', 3260), 'iqn.2026-11.org.example:disk', initiator='iqn.2026-11.org.example:life')
session.login()
session.alive()
print('working', flush=True)
turns = 0
while not over or turns < 100:
    turns += 1
    data = bytes([turns % 251]) * 4096
    written = session.write(8 * (turns % 1000), data)
    assert written.status == 0, written.sense
    assert session.read(8 * (turns % 1000), 8).data == data
print('turns', turns)
