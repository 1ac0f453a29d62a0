# SPDX-License-Identifier: BSD-3-Clause
"""Runs files of dialogues as programs, several at a time, and reads what they say."""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys

FILE_LIMIT = 300    # seconds
RESULT = re.compile(r'^(not ok|ok) (\d+)( - )?(.*)$')


def parser(description):
    """The options every runner of dialogues has."""
    made = argparse.ArgumentParser(description=description,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--jobs', type=int, default=max(4, os.cpu_count() or 1))
    made.add_argument('--daemon')
    made.add_argument('--plugins', default='')
    made.add_argument('--target')
    made.add_argument('--first-lun', default='0')
    return made


def arguments(options):
    """What each file is told of them; None: neither a daemon nor a target."""
    if options.target:
        return ['--target', options.target, '--first-lun', options.first_lun]
    if options.daemon:
        return ['--daemon', os.path.abspath(options.daemon), '--plugins',
                ':'.join(os.path.abspath(p) for p in options.plugins.split(':') if p)]
    return None


def run_file(path, words):
    """Returns (path, its output, whether it came to its end)."""
    process = subprocess.Popen([sys.executable, '-B', str(path)] + words, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors='replace',
                               start_new_session=True)
    try:
        out, _ = process.communicate(timeout=FILE_LIMIT)
        return path, out, True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return path, process.communicate()[0] + '\n# stopped after %d s\n' % FILE_LIMIT, False


def run_files(jobs, todo):
    """For each (path, words) in turn, as run_file()."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda item: run_file(*item), todo)
