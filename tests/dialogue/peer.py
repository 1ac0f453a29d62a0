# SPDX-License-Identifier: BSD-3-Clause
"""What a file of dialogues is written with.

    @case('an unknown target is refused with 0203')
    def _(target):
        ...

    if __name__ == '__main__':
        main(__file__)

A case gets the target all cases of the file share (a daemon with a RAM LUN 0 and a file LUN 1, or what
main(..., targets=) says). A case declared with own=dict(...) gets a daemon of its own, configured so;
one declared alone=True gets none and starts what it wants with serve().
"""
import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))
# pylint: disable=wrong-import-position,unused-import
import tap  # noqa: E402
from connection import Closed, Connection, LIMIT, QUIET  # noqa: E402,F401
from daemon import IQN, Daemon, Settings, file, ram, serve  # noqa: E402,F401
from session import INITIATOR, OFFER, Refused, Session, new_isid  # noqa: E402,F401
from tap import Skip  # noqa: E402,F401


class Target:
    """Where to log in: the daemon under test, or somebody else's target given with --target."""

    def __init__(self, address, iqn, daemon=None):
        self.address, self.iqn, self.daemon = address, iqn, daemon
        self.sessions = []

    def session(self, iqn=None, **more):
        """A session that is not logged in yet."""
        session = Session(self.address, iqn or self.iqn, **more)
        self.sessions.append(session)
        return session

    def login(self, initiator=INITIATOR, iqn=None, isid=None, discovery=False, **offer):
        session = self.session(iqn, initiator=initiator, isid=isid, discovery=discovery)
        session.login(**offer)
        if not discovery:
            session.alive()     # takes the unit attention a new nexus may have
        return session

    def connect(self):
        """A bare connection: no session, nothing said."""
        session = self.session()
        return session.connect()

    def close_all(self):
        while self.sessions:
            self.sessions.pop().close()

    def refused(self, status, login):
        """The login must be refused with this status, and the connection closed."""
        try:
            session = login()
        except Refused as refusal:
            assert refusal.status == status, 'refused with %04x, expected %04x' % (
                refusal.status, status)
            self.sessions[-1].connections[-1].expect_closed()
            return refusal.response
        raise AssertionError('not refused: %r' % (getattr(session, 'answers', session),))


_cases = []


def case(name, own=None, alone=False):
    def register(function):
        _cases.append((name, function, own, alone))
        return function
    return register


def _run_with(function, target):
    try:
        return function(target)
    except Exception as error:
        if target.daemon and not isinstance(error, Skip):
            error.add_note('the daemon said last:\n  ' + '\n  '.join(target.daemon.last_words()))
        raise
    finally:
        target.close_all()


def _run_case(function, own, alone, shared):
    if alone or own is not None:
        if Settings.target:
            raise Skip('needs a daemon of its own')
        if alone:
            return function()
        with serve(**own) as daemon:
            target = Target(daemon.address, IQN, daemon)
            return _run_with(function, target)
    return _run_with(function, shared)


def _run_all(output, chosen, shared):
    for name, function, own, alone in chosen:
        output.run(name, _run_case, function, own, alone, shared)


def main(path, targets=None, **config):
    """Runs the cases of a file and prints TAP; config is that of the daemon they share."""
    parser = argparse.ArgumentParser(prog=pathlib.Path(path).name)
    parser.add_argument('--daemon', help='holdfastd')
    parser.add_argument('--plugins', default='', help='directories, with ":" between them')
    parser.add_argument('--target', help='HOST:PORT,IQN of another target that runs already')
    parser.add_argument('words', nargs='*', help='only cases whose names hold one of these')
    parser.add_argument('--first-lun', type=int, default=0, help='of that target')
    parser.add_argument('--exactly', action='store_true', help='WORDS are whole names of cases')
    options = parser.parse_args()
    Session.first_lun = options.first_lun
    Settings.daemon = options.daemon and os.path.abspath(options.daemon)
    Settings.plugins = [os.path.abspath(p) for p in options.plugins.split(':') if p]
    chosen = [entry for entry in _cases
              if not options.words or (entry[0] in options.words if options.exactly else
                                       any(word in entry[0] for word in options.words))]
    output = tap.Tap()
    if options.target:
        where, Settings.target = options.target.split(',', 1)
        host, port = where.rsplit(':', 1)
        _run_all(output, chosen, Target((host, int(port)), Settings.target))
    elif not options.daemon:
        parser.error('--daemon or --target')
    elif all(own is not None or alone for _, _, own, alone in chosen):
        _run_all(output, chosen, None)
    else:
        try:
            with serve(targets, **config) as daemon:
                _run_all(output, chosen, Target(daemon.address, IQN, daemon))
        except AssertionError as why:
            output.fail('the shared daemon starts, keeps its worker and ends well', why)
        else:
            output.ok('the shared daemon starts, keeps its worker and ends well')
    sys.exit(output.done())
