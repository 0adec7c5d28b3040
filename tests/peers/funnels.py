"""What ClickHouse, as the library chdb, answers to windowFunnel and retention, as JSON on stdout.

Usage: python funnels.py rows.json

The file holds `rows` ([user, time, steps], steps as a number whose bit i is step i), the number of
`steps`, the `windows` and the `modes` to ask for (each a list of names). The answer holds the
`version`, the modes that it lacks, each user's depths by window and modes, and each user's
retention. Who compares this with Vitalog is the test `funnels`.

Of rows at the same time ClickHouse takes the one first that comes first, and with strict_once and
strict_deduplication together this can be seen. Vitalog takes them in the order of their steps, so
that is how they are handed over here, by one thread.
"""

import json
import os
import sys
import tempfile

import chdb

MODES = ["strict_order", "strict_deduplication", "strict_increase", "strict_once", "allow_reentry"]


def ask(sql):
    """The rows of an answer."""
    text = str(chdb.query(sql + " SETTINGS max_threads = 1", "JSONEachRow"))
    return [json.loads(line) for line in text.splitlines()]


def lacking():
    """The modes that this version refuses."""
    found = []
    for mode in MODES:
        # allow_reentry is refused alone.
        names = f"'{mode}'" if mode != "allow_reentry" else "'strict_order', 'allow_reentry'"
        try:
            ask(f"SELECT windowFunnel(1, {names})(toUInt64(number), number = 0) FROM numbers(1)")
        except Exception as error:
            if "BAD_ARGUMENTS" not in str(error):
                raise
            found.append(mode)
    return found


def answers(question, path):
    missing = lacking()
    source = f"file('{path}', TSV, 'user String, time UInt64, steps UInt32')"
    steps = ", ".join(f"bitTest(steps, {step}) = 1" for step in range(question["steps"]))
    asked = [modes for modes in question["modes"] if not set(modes) & set(missing)]
    depths = {}
    for modes in asked:
        for window in question["windows"]:
            parameters = ", ".join([str(window), *(f"'{mode}'" for mode in modes)])
            rows = ask(
                f"SELECT user, windowFunnel({parameters})(time, {steps}) AS depth"
                f" FROM {source} GROUP BY user"
            )
            depths[f"{window} {' '.join(modes)}".strip()] = {
                row["user"]: row["depth"] for row in rows
            }
    rows = ask(f"SELECT user, retention({steps}) AS met FROM {source} GROUP BY user")
    return {
        "version": ask("SELECT version() AS version")[0]["version"],
        "lacking": missing,
        "depths": depths,
        "retention": {row["user"]: row["met"] for row in rows},
    }


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        question = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.tsv")
        with open(path, "w") as file:
            for user, time, steps in sorted(question["rows"], key=lambda row: (row[1], row[2])):
                file.write(f"{user}\t{time}\t{steps}\n")
        json.dump(answers(question, path), sys.stdout)
