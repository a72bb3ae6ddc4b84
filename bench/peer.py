"""One peer's version of the event job, as a process of its own.

    peer.py PLAN SOURCE_DIR OUT_DIR CODEC THREADS SCRATCH_DIR
    peer.py count DIR

Each PLAN is what the peer's own documentation recommends for the job: read every
Parquet file of a directory, write it partitioned by `type`. bench/run.py starts
this script and measures the whole process, so starting Python and importing the
library are part of the figure, as starting Sluice is of Sluice's. `count` prints
the number of rows below DIR; it is never measured.
"""

import os
import sys


def duckdb_copy(source, out, codec, threads, scratch, order=""):
    import duckdb

    connection = duckdb.connect(config={"threads": threads, "temp_directory": scratch})
    connection.execute(
        f"COPY (SELECT * FROM read_parquet('{source}/*.parquet') {order}) "
        f"TO '{out}' (FORMAT parquet, PARTITION_BY (type), COMPRESSION {codec})"
    )


def duckdb_sorted(source, out, codec, threads, scratch):
    # The way to few open files and one file per type: let the sort do the grouping.
    duckdb_copy(source, out, codec, threads, scratch, order="ORDER BY type, ts")


def polars_sink(source, out, codec, threads, scratch):
    # Read when the library is imported, not later.
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    os.environ["POLARS_TEMP_DIR"] = scratch
    import polars

    polars.scan_parquet(f"{source}/*.parquet").sink_parquet(
        polars.PartitionBy(out, key="type"), mkdir=True, compression=codec
    )


PLANS = {"duckdb": duckdb_copy, "duckdb-sorted": duckdb_sorted, "polars": polars_sink}


def count(directory):
    import duckdb

    # hive_partitioning off: the rows are in the files, whatever the directories say.
    (rows,) = duckdb.execute(
        f"SELECT count(*) FROM read_parquet('{directory}/**/*.parquet', hive_partitioning = false)"
    ).fetchone()
    print(rows)


def main(arguments):
    if arguments[0] == "count":
        count(*arguments[1:])
        return
    plan, source, out, codec, threads, scratch = arguments
    PLANS[plan](source, out, codec, int(threads), scratch)


if __name__ == "__main__":
    main(sys.argv[1:])
