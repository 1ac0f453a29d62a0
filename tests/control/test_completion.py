#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Completion, as somebody has it who types at a bash or a zsh: both run on a terminal, and are made to put
everything that they would offer into the line."""
import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import client
from client import Settings, look
from peer import IQN, Skip, case, file as a_file, main, ram

CONF = pathlib.Path(__file__).resolve().parents[2] / 'conf'
OTHER = 'iqn.2026-11.org.example:other'
TWO = {IQN: {'luns': {0: ram(), 1: a_file('$FOLDER/disk.img'), 7: ram('1M')}}, OTHER: {'luns': {0: ram('2M')}}}
VERBS = 'fence log lun luns metrics plan portals progress reload session sessions status target targets top upgrade'
# `said` runs in the place of the line; what it prints cannot be mistaken for what is typed.
SAID = "said() { printf '{%%s}\\n' \"$*\"; }\n"
BASH = ('bash', ('--norc', '--noprofile', '-i'), b'\x1b*', SAID + '''PS1= PS2=
bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
. %(conf)s/completion/holdfastctl; . %(conf)s/completion/holdfastd
''')
ZSH = ('zsh', ('-f', '-i'), b'\x18a', SAID + '''PS1= PS2=
unsetopt prompt_sp prompt_cr; unset zle_bracketed_paste; bindkey -e
fpath=(%(conf)s/completion $fpath); autoload -Uz compinit; compinit -u -D
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert yes
zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches
''')


class Shell:
    """A shell that knows the completions and finds the programs by their names."""

    def __init__(self, daemon, bin_folder, name, arguments, key, setup):
        self.socket, self.key, self.seen = client.path_of(daemon), key, b''
        self.end, other_end = pty.openpty()
        fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 2000, 0, 0))
        environment = dict(os.environ, PATH=bin_folder + ':' + os.environ['PATH'], HISTFILE='', TERM='dumb',
                           LC_ALL='C', HOME=bin_folder, 
                           HOLDFAST_PLUGIN_DIR=str(Settings.plugins[0]))
        self.process = subprocess.Popen([shutil.which(name), *arguments], stdin=other_end, stdout=other_end,
                                        stderr=other_end, env=environment, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(other_end)
        file = pathlib.Path(bin_folder) / 'setup'       # what is typed would be echoed
        file.write_text(setup % {'conf': CONF}, encoding='utf-8')
        os.write(self.end, b'. %s; said ready\r' % str(file).encode())
        self._wait()

    def _wait(self):
        """What `said` prints next."""
        deadline = time.monotonic() + client.LIMIT
        while not (found := re.search(rb'\{(.*?)\}\r', self.seen)):
            assert time.monotonic() < deadline, self.seen[-3000:]
            if select.select([self.end], [], [], 1)[0]:
                self.seen += os.read(self.end, 1 << 16)
        self.seen = b''
        return found.group(1).decode()

    def offers(self, line, program='holdfastctl --socket %s'):
        """The words that may stand in the place of the last one of this line."""
        before = program % self.socket if '%' in program else program
        # ^A: to the begin of the line; the words are those of a command of its own there.
        os.write(self.end, ('%s %s' % (before, line)).encode() + self.key + b'\x01said \r')
        words = self._wait().split()
        typed = line.split(' ')[:-1]
        return words[len(before.split()) + len(typed):]

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.end)


@contextlib.contextmanager
def shell_of(daemon, kind):
    if not shutil.which(kind[0]):
        raise Skip('no ' + kind[0])
    core = pathlib.Path(client.program()).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        for program in (core / 'ctl/holdfastctl', core / 'holdfastd'):
            (pathlib.Path(folder) / program.name).symlink_to(program)
        shell = Shell(daemon, folder, *kind)
        try:
            yield shell
        finally:
            shell.close()


def completes(target, kind):
    one, two = target.login(), target.login(discovery=True)
    with shell_of(target.daemon, kind) as shell:
        def offered(line, words, **more):
            found = shell.offers(line, **more)
            assert sorted(found) == sorted(words.split()), '%r: %r, expected %r' % (line, found, words)
        offered('', VERBS)
        offered('pl', 'plan')
        offered('session ', 'drop')
        offered('log ', 'error warning notice info debug')
        offered('fence r', 'raise')
        offered('lun ', 'resize set reopen remove')
        offered('lun resize %s ' % IQN, '0 1 7')
        offered('--json lun remove --drain 30s %s ' % IQN, '0 1 7')
        offered('session drop ', ' '.join(str(s['id']) for s in look(target.daemon, 'sessions')))
        offered('top --c', '--count')
        offered('lun set --', '--socket --json --timeout --help --version --force --drain --wait')
        offered('status ', '')
        offered('--describe ra', 'ram', program='holdfastd')
        for words in ('luns ', 'sessions ', 'lun set ', 'target remove '):
            # A colon is where bash begins a word: it puts only what follows it into the line again.
            found = set(re.split(r'[ :]', ' '.join(shell.offers(words + IQN[:-1]))))
            assert found >= {IQN.split(':')[1]} and 'other' not in found, (words, found)
    one.alive()
    assert two


@case('bash completes verbs, their words, and what the daemon knows', own={'targets': TWO})
def _(target):
    completes(target, BASH)


@case('zsh completes verbs, their words, and what the daemon knows', own={'targets': TWO})
def _(target):
    completes(target, ZSH)


@case('both shells know the same verbs as the program', own={'start': False})
def _(_):
    usage = subprocess.run([client.program(), '--help'], text=True, capture_output=True, check=True,
                           timeout=client.LIMIT).stdout
    assert set(re.findall(r'^  ([a-z]+)', usage, re.MULTILINE)) == set(VERBS.split())


@case('the shells take their scripts', own={'start': False})
def _(_):
    for shell, names in (('bash', ('holdfastctl', 'holdfastd')), ('zsh', ('_holdfastctl', '_holdfastd'))):
        if not shutil.which(shell):
            raise Skip('no ' + shell)
        for name in names:
            done = subprocess.run([shell, '-n', str(CONF / 'completion' / name)], text=True, capture_output=True,
                                  check=False, timeout=client.LIMIT)
            assert done.returncode == 0 and not done.stderr, done.stderr


if __name__ == '__main__':
    main(__file__)
