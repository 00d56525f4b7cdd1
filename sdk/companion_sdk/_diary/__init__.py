"""The offline engine behind ``companion_sdk.diary``: one file on the device, and what sync does to it.

``store`` is the file, ``seal`` what makes it unreadable, ``writing`` and ``reading`` what a person does, ``sending`` and
``mirror`` what answers of the service do, ``engine`` the order of calls, ``keeping`` when they are made. Imported when the
first ``Diary`` is made.
"""
