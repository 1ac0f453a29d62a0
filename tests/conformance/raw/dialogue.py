# SPDX-License-Identifier: BSD-3-Clause
"""Importing this makes the scripted initiator of tests/dialogue importable."""
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / 'dialogue'))
