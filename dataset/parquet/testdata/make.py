"""Writes the small files of other writers that peers_test.go reads.

Run with a Python that has pyarrow, duckdb, polars and pyspark:

    python make.py

Every file holds the same ten rows. spark.parquet is written by Spark with INT96 timestamps.
"""
import datetime
import decimal
import glob
import os
import shutil
import sys
import tempfile

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

here = os.path.dirname(os.path.abspath(__file__))
n = 10
utc = datetime.timezone.utc


def nulls(values, every):
    return [None if i % every == 0 else v for i, v in enumerate(values)]


table = pa.table({
    "id": pa.array(range(n), pa.int64()),
    "flag": pa.array(nulls([i % 2 == 0 for i in range(n)], 3), pa.bool_()),
    "name": pa.array(nulls([f"name-{i % 4}" for i in range(n)], 4), pa.string()),
    "price": pa.array([decimal.Decimal(i) / 4 for i in range(n)], pa.decimal128(20, 2)),
    "ts": pa.array([datetime.datetime(2021, 8, 28, 0, i, 0, 1000 * i, tzinfo=utc) for i in range(n)], pa.timestamp("us", "UTC")),
    "ratio": pa.array([i / 8 for i in range(n)], pa.float64()),
    "tags": pa.array([None if i % 5 == 4 else [f"t{j}" for j in range(i % 3)] for i in range(n)], pa.list_(pa.string())),
    "pair": pa.array([None if i == 7 else {"a": i, "b": None if i % 2 else f"b{i}"} for i in range(n)],
                     pa.struct([("a", pa.int32()), ("b", pa.string())])),
})


def out(name):
    return os.path.join(here, name)


pq.write_table(table, out("pyarrow.parquet"), row_group_size=6, compression="zstd", data_page_version="2.0",
               write_page_checksum=True, write_page_index=True, use_dictionary=["name"],
               column_encoding={"id": "DELTA_BINARY_PACKED", "ratio": "BYTE_STREAM_SPLIT", "flag": "RLE"})
duckdb.sql("COPY (SELECT * FROM \"table\") TO '%s' (FORMAT parquet, COMPRESSION gzip)" % out("duckdb.parquet"))
polars.from_arrow(table).write_parquet(out("polars.parquet"), compression="lz4", row_group_size=7)

if "--no-spark" not in sys.argv:
    from pyspark.sql import SparkSession
    tmp = tempfile.mkdtemp()
    spark = (SparkSession.builder.master("local[1]")
             .config("spark.ui.enabled", "false")
             .config("spark.sql.session.timeZone", "UTC")
             .config("spark.sql.parquet.outputTimestampType", "INT96").getOrCreate())
    (spark.read.parquet(out("pyarrow.parquet")).coalesce(1).orderBy("id")
     .write.mode("overwrite").parquet(os.path.join(tmp, "out")))
    shutil.copy(glob.glob(os.path.join(tmp, "out", "*.parquet"))[0], out("spark.parquet"))
    spark.stop()
    shutil.rmtree(tmp)
