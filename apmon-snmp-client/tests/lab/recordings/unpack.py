"""Unpacks the recordings that the file named on the command line lists into
./data and indexes them into ./cache, so that those who replay them at the same
time need only read."""

import bz2
import dbm.gnu  # the one index format that many may read at once: fail without
import os
import sys

import snmpsim_data
from snmpsim import confdir
from snmpsim.record import snmprec
from snmpsim.record.search.database import RecordIndex

# Any time before the index's: what is younger than its index is indexed anew.
LONG_AGO = 0
# A counter that was made to grow has grown for so long.
A_DAY = 86_400


def still(record):
    """A record without its motion: a few were edited to give other values with
    time, and a test wants to know what it will get."""
    oid, tag, value = record.split(b"|", 2)
    kind, moves, _ = tag.partition(b":")
    if not moves:
        return record
    options = dict(option.split(b"=", 1) for option in value.strip().split(b","))
    for name in [b"value", b"offset", b"scale"]:
        if options.get(name, b"0") != b"0":
            return b"%s|%s|%s\n" % (oid, kind, options[name])
    return b"%s|%s|%d\n" % (oid, kind, float(options[b"rate"]) * A_DAY)


def unpack(source, target):
    with bz2.open(source) as records, open(target, "wb") as data:
        for record in records:
            data.write(still(record) if b"|" in record else record)
    os.utime(target, (LONG_AGO, LONG_AGO))


def main():
    package = os.path.join(os.path.dirname(snmpsim_data.__file__), "data")
    # As whoever replays them names it: the name is part of the index's.
    confdir.cache = "cache"
    for directory in ["data", "cache"]:
        os.makedirs(directory)
    with open(sys.argv[1]) as devices:
        lines = [line.split() for line in devices if not line.startswith("#")]
    for name, path in lines:
        target = os.path.join("data", f"{name}.snmprec")
        unpack(os.path.join(package, f"{path}.snmprec.bz2"), target)
        RecordIndex(target, snmprec.SnmprecRecord()).create()


main()
