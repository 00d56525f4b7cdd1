"""A phone in a process of its own, to be killed: records and syncs without end.

What ``record`` returned from is in the side file, on the disk, before anything else is done: a line ``id word`` each.
"""

import itertools
import os
import sys

from companion_sdk import Companion, Diary, Note


def main(path: str, url: str, token: str, side: str, name: str) -> None:
    told = os.open(side, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Companion(url, token, retries=0) as client, Diary(path, client, zone="America/New_York") as diary:
        for number in itertools.count():
            word = f"{name}-{number}"
            entry = diary.record(Note(text=word))
            os.write(told, f"{entry.id} {word}\n".encode())
            os.fsync(told)
            if number % 3 == 2:
                diary.sync()


if __name__ == "__main__":
    main(*sys.argv[1:6])
