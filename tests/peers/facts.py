"""What DuckDB and pandas answer about a Parquet file of events, as JSON on stdout.

Usage: python facts.py events.parquet

Each library computes everything by itself; who compares the two with Vitalog is the test
`real_data`. Rows without an account, or without a user, are one group, as in SQL's GROUP BY. Days
are those of UTC, times are microseconds since 1970, a session begins where the gap since the
user's previous event is longer than 30 minutes, and a peg is the 90th percentile (type 7, linear
interpolation) of the events of each entity.
"""

import json
import sys

import duckdb
import pandas

DAY_US = 24 * 60 * 60 * 1_000_000
GAP_US = 30 * 60 * 1_000_000
PEG_PERCENTILE = 0.9


def by_duckdb(path):
    """Facts by SQL; each entity is [id or null, events, active days, last time, sessions]."""
    connection = duckdb.connect()
    events = connection.read_parquet(path)
    connection.register("file", events)
    connection.execute(
        "CREATE TABLE events AS"
        " SELECT account_id, user_id, epoch_us(event_time) AS time_us FROM file"
    )

    def entities(column):
        return connection.execute(
            f"""
            SELECT id, count(*), count(DISTINCT time_us // {DAY_US}), max(time_us),
                   count(*) FILTER (previous IS NULL OR time_us - previous > {GAP_US})
            FROM (
              SELECT {column} AS id, time_us,
                     lag(time_us) OVER (PARTITION BY {column} ORDER BY time_us) AS previous
              FROM events
            )
            GROUP BY id
            """
        ).fetchall()

    def peg(column):
        counts = f"SELECT count(*) AS raw FROM events GROUP BY {column}"
        sql = f"SELECT quantile_cont(raw::DOUBLE, {PEG_PERCENTILE}) FROM ({counts})"
        return connection.execute(sql).fetchone()[0]

    rows = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    return facts(rows, entities, peg)


def by_pandas(path):
    """The same by data frames."""
    columns = ["account_id", "user_id", "event_time"]
    frame = pandas.read_parquet(path, columns=columns)
    times = frame["event_time"].dt.as_unit("us").astype("int64")
    frame = frame.assign(time_us=times, day=times // DAY_US)

    def entities(column):
        ordered = frame.sort_values("time_us", kind="stable")
        gaps = ordered.groupby(column, dropna=False)["time_us"].diff()
        ordered = ordered.assign(begins=gaps.isna() | (gaps > GAP_US))
        groups = ordered.groupby(column, dropna=False)
        table = pandas.DataFrame(
            {
                "events": groups.size(),
                "days": groups["day"].nunique(),
                "last": groups["time_us"].max(),
                "sessions": groups["begins"].sum(),
            }
        )
        return [
            [None if pandas.isna(key) else key, *(int(cell) for cell in row)]
            for key, row in zip(table.index, table.itertuples(index=False))
        ]

    def peg(column):
        counts = frame.groupby(column, dropna=False).size()
        return float(counts.quantile(PEG_PERCENTILE, interpolation="linear"))

    return facts(len(frame), entities, peg)


def facts(rows, entities, peg):
    return {
        "rows": rows,
        "accounts": entities("account_id"),
        "users": entities("user_id"),
        "peg_of_accounts": peg("account_id"),
        "peg_of_users": peg("user_id"),
    }


if __name__ == "__main__":
    path = sys.argv[1]
    json.dump({"duckdb": by_duckdb(path), "pandas": by_pandas(path)}, sys.stdout)
