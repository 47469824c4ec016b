# Reads apmon's state and the accepted mails. Prints one line for each item, its
# parts percent-encoded. Arguments: state file, Maildir.
import json
import mailbox
import os
import sqlite3
import sys
from email import message_from_bytes, policy
from urllib.parse import quote

state, place = sys.argv[1:3]


def emit(*parts):
    print("\t".join(quote(str(part), safe=" :@()\"/") for part in parts))


def outbox(entry):
    message = entry["notification"]
    emit("outbox", entry["channel"], message["id"] + "-" + entry["channel"], message["kind"])


def is_up(value):
    return "unknown" if value is None else "up" if value else "down"


if state.endswith(".json") and os.path.exists(state):
    with open(state) as file:
        content = json.load(file)
    own = content.pop("apmon")
    for entry in own["outbox"]:
        outbox(entry)
    for name, monitor in content.items():
        if isinstance(monitor, dict):
            emit("state", name, is_up(monitor["is_up"]))
elif os.path.exists(state):
    # Read-only beside the daemon. Without one, SQLite needs no locks.
    mode = "mode=ro" if os.path.exists(state + "-wal") else "immutable=1"
    database = sqlite3.connect(f"file:{state}?{mode}", uri=True)
    database.execute("BEGIN")
    for (entry,) in database.execute("SELECT entry FROM outbox ORDER BY place"):
        outbox(json.loads(entry))
    for name, value in database.execute("SELECT name, is_up FROM states"):
        emit("state", name, is_up(value))
    emit("history")
    for row in database.execute("SELECT id, monitor, ended IS NOT NULL, messages FROM incidents WHERE kind = 'outage'"):
        emit("incident", *row)
    for row in database.execute("SELECT channel, message || '-' || channel FROM deliveries WHERE fate = 'delivered'"):
        emit("delivered", *row)

for key in mailbox.Maildir(place).keys() if os.path.isdir(place) else ():
    mail = message_from_bytes(mailbox.Maildir(place).get_bytes(key), policy=policy.default)
    text = mail.get_content().split("\n")[0].strip()
    first = mail["References"] or mail["Message-ID"]
    emit("mail", mail["X-Accepted-At"], mail["X-Accepted-For"], mail["Message-ID"], first, mail["Subject"], text)
