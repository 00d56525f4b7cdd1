"""A phone in a process of its own, to be killed: records, corrects, deletes and syncs until it has made ``most`` entries.

What returned stands in the log when it returned: a line ``+id``, ``=id word`` or ``-id`` each, by one write.
"""

import os
import sys

from companion_sdk import Companion, Diary, Note


def main(path: str, url: str, token: str, log: str, most: int, name: str) -> None:
    told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Companion(url, token, retries=0) as client, Diary(path, client, zone="America/New_York") as diary:
        for number in range(most):
            entry = diary.record(Note(text=f"{name} {number}"))
            os.write(told, f"+{entry.id}\n".encode())
            if number % 4 == 1:
                diary.correct(entry, Note(text=f"{name} {number} again"))
                os.write(told, f"={entry.id} {name} {number} again\n".encode())
            if number % 7 == 3:
                diary.delete(entry)
                os.write(told, f"-{entry.id}\n".encode())
            if number % 3 == 0:
                diary.sync()
        while not diary.sync().done:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:5], most=int(sys.argv[5]), name=sys.argv[6])
