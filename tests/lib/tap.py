# SPDX-License-Identifier: BSD-3-Clause
"""The output of a test program that is a list of checks: TAP, one sentence a case."""
import sys
import traceback


class Skip(Exception):
    """Raised by a case that cannot run here; its text says why."""


def locals_of(error):
    """The variables where the error was raised: a plain assert says nothing about its values."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    return ''.join('    %s = %.300r\n' % item for item in sorted(frame.tb_frame.f_locals.items()))


class Tap:
    def __init__(self, out=sys.stdout):
        self.out, self.number, self.failed = out, 0, 0

    def _case(self, good, name, suffix=''):
        self.number += 1
        self.failed += not good
        # '#' begins a directive, so a name must not hold one
        self.out.write('%sok %d - %s%s\n' % ('' if good else 'not ', self.number,
                                             name.replace('#', ' '), suffix))
        self.out.flush()

    def note(self, text):
        for line in str(text).rstrip().splitlines():
            self.out.write('# ' + line + '\n')

    def ok(self, name):
        self._case(True, name)

    def fail(self, name, why):
        self._case(False, name)
        self.note(why)

    def skip(self, name, why):
        self._case(True, name, ' # SKIP ' + ' '.join(str(why).split()))

    def check(self, name, complaints):
        """A case that is good when the list of complaints is empty."""
        if complaints:
            self.fail(name, '\n'.join(complaints))
        else:
            self.ok(name)

    def run(self, name, function, *arguments):
        """A case that is good when the function returns."""
        try:
            function(*arguments)
        except Skip as why:
            self.skip(name, why)
        except Exception as error:  # pylint: disable=broad-except  # whatever it is, the case failed
            self.fail(name, traceback.format_exc() + locals_of(error))
        else:
            self.ok(name)

    def done(self):
        """Writes the plan; returns the exit code of the program."""
        self.out.write('1..%d\n' % self.number)
        self.out.flush()
        return 1 if self.failed else 0
