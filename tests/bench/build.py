# SPDX-License-Identifier: BSD-3-Clause
"""Finds or builds what the measurements need: a release build of the load generator and the daemon."""
import os
import subprocess
import sys

from targets import TARGET

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def add_options(parser):
    parser.add_argument("--build", metavar="DIR", default=os.path.join(ROOT, "build-release"),
                        help="release build directory, made when missing (%(default)s)")
    parser.add_argument("--daemon", metavar="PATH", help="this holdfastd instead")
    parser.add_argument("--plugins", metavar="DIR[:DIR]", help="and these plugin directories")
    parser.add_argument("--load", metavar="PATH", help="this load generator instead")


def prepare(arguments):
    """Fills in daemon, plugins and load; builds unless both programs were given."""
    if not (arguments.daemon and arguments.load):
        if not os.path.exists(os.path.join(arguments.build, "build.ninja")):
            subprocess.run(["meson", "setup", "--buildtype=release", arguments.build, ROOT],
                           check=True, stdout=subprocess.DEVNULL)
        r = subprocess.run(["ninja", "-C", arguments.build], stdout=subprocess.PIPE, text=True)
        if r.returncode:
            sys.exit(r.stdout[-4000:])
    if arguments.plugins:
        arguments.plugins = [p for p in arguments.plugins.split(":") if p]
    else:
        base = os.path.dirname(os.path.dirname(os.path.abspath(arguments.daemon))) \
            if arguments.daemon else arguments.build
        arguments.plugins = [os.path.join(base, d) for d in ("handlers", "plugins")]
    arguments.daemon = arguments.daemon or os.path.join(arguments.build, "core", "holdfastd")
    arguments.load = arguments.load or os.path.join(arguments.build, "tests", "bench", "load")
    for path in (arguments.daemon, arguments.load):
        if not os.access(path, os.X_OK):
            sys.exit("%s is missing" % path)


def load(arguments, target, *options, cpu=None, name=TARGET):
    """The command line of the load generator for a target."""
    command = ["taskset", "-c", str(cpu)] if cpu is not None else []
    return command + [arguments.load, "--address", "127.0.0.1:%d" % target.port, "--target", name,
                      "--lun", str(target.first_lun), *options]
