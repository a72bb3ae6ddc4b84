"""Makes types.parquet, int96.parquet, vectors.json and ../../contenthash/testdata/content.json with PySpark.

Run by hand in this directory (PySpark 4.3.0, PyArrow 25, JDK 17): TZ=UTC python vectors.py
The answers are Spark's own; nothing here computes a hash.
"""
import decimal
import json
import math
import struct

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

D = decimal.Decimal
I64 = [0, 1, -1, 86400_000_000, -86400_000_001, 1630154096123456, -62135596800000001, 253402300800000000, 2**62, -2**62, None, 1630154096100000]
N = len(I64)


def pad(values):
    return [values[i % len(values)] for i in range(N)]


half_list = pa.list_(pa.struct([("x", pa.int32()), ("y", pa.string())]))
columns = {
    "u8": (pa.uint8(), [0, 1, 127, 128, 255, None]),
    "u16": (pa.uint16(), [0, 1, 32768, 65535, None]),
    "u32": (pa.uint32(), [0, 1, 2**31, 2**32 - 1, None]),
    "u64": (pa.uint64(), [0, 1, 127, 128, 255, 256, 2**63 - 1, 2**63, 2**64 - 1, None]),
    "ts_ms": (pa.timestamp("ms", "UTC"), [None if v is None else v // 1000 for v in I64]),
    "ts_us": (pa.timestamp("us", "UTC"), I64),
    "ts_ntz": (pa.timestamp("us"), I64),
    "t_us": (pa.time64("us"), [0, 1, 45296123456, 86399999999, 45296100000, None]),
    "t_ns": (pa.time64("ns"), [0, 1, 45296123456789, 86399999999999, None]),
    "date": (pa.date32(), [0, -1, 2932896, 2932897, -719163, -719529, -735000, 40000000, 18867, None]),
    "d5_2": (pa.decimal128(5, 2), [D("1.50"), D("-0.05"), D("0.00"), D("999.99"), None]),
    "d9_9": (pa.decimal128(9, 9), [D("0.000000001"), D("-0.100000000"), None]),
    "d18_0": (pa.decimal128(18, 0), [D(0), D(-1), D(10) ** 17, None]),
    "d19_3": (pa.decimal128(19, 3), [D("0.001"), D("-0.128"), D("0.127"), D("0.128"), D("-0.129"), D("1234567890123456.789"), None]),
    "d38_38": (pa.decimal128(38, 38), [D("0.00000000000000000000000000000000000001"), D("-0.5"), None]),
    "flba": (pa.binary(3), [b"abc", b"\x00\xff\x80", None]),
    "blob": (pa.binary(), [bytes(range(n)) for n in (0, 1, 3, 4, 7, 8, 31)] + [bytes((i * 7) % 256 for i in range(n)) for n in (32, 33, 63, 64)] + [None]),
    "list_struct": (half_list, [[], None, [{"x": 1, "y": "a"}, {"x": 2, "y": None}, None, {"x": None, "y": "b"}], [{"x": 1, "y": "a"}], [None]]),
    "list_list": (pa.list_(pa.list_(pa.int64())), [[[1, 2], [], None, [3, None]], None, [], [[4]]]),
    "struct_lists": (
        pa.struct([("p", half_list), ("q", pa.list_(pa.string())), ("r", pa.float64())]),
        [{"p": [{"x": 1, "y": "z"}, {"x": 3, "y": "w"}], "q": ["1", None, "2"], "r": -0.0}, None, {"p": None, "q": [], "r": math.nan}, {"p": [], "q": None, "r": None}],
    ),
    "list_struct_list": (
        pa.list_(pa.struct([("k", pa.int32()), ("v", pa.list_(pa.string()))])),
        [[{"k": 1, "v": ["a", "b"]}, {"k": 2, "v": []}, {"k": 3, "v": None}, {"k": None, "v": ["c", None]}], [], None, [None, {"k": 9, "v": ["x"]}]],
    ),
}
table = pa.table({"row": pa.array(range(N), pa.int32())} | {n: pa.array(pad(v), t) for n, (t, v) in columns.items()})
pq.write_table(table, "types.parquet", compression="none", store_decimal_as_integer=True, store_schema=False)
int96 = [v if v is None or abs(v) < 2**60 else v // 4 for v in I64]
pq.write_table(
    pa.table({"row": pa.array(range(N), pa.int32()), "int96": pa.array([None if v is None else (v % (2**62)) * 1000 % (2**62) + 789 for v in int96], pa.timestamp("ns"))}),
    "int96.parquet", compression="none", use_deprecated_int96_timestamps=True, store_schema=False)

spark = (SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
         .config("spark.sql.timeType.enabled", "true").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")


def flat(df, c):
    return not any(s in df.schema[c].dataType.simpleString() for s in ("array", "struct", "map"))


out = {"columns": {}, "several": {}}
for file in ("types.parquet", "int96.parquet"):
    df = spark.read.parquet(file)
    for c in df.columns:
        if c == "row":
            continue
        cast = f"hex(encode(cast({c} as string), 'utf-8'))" if df.schema[c].dataType.simpleString() != "binary" else f"hex({c})"
        rows = df.orderBy("row").selectExpr(f"hash({c}) h", f"xxhash64({c}) x", (cast if flat(df, c) else "null") + " s").collect()
        out["columns"][c] = {"file": file, "hash": [r.h for r in rows], "xxhash64": [r.x for r in rows],
                             "text": [None if r.s is None else bytes.fromhex(r.s).decode("latin-1") for r in rows] if flat(df, c) else None}

# hash_vectors.parquet: xxhash64 and the text of every column, summed up; floating point by value.
df = spark.read.parquet("hash_vectors.parquet")
inputs = [c for c in df.columns if not c.startswith(("h_", "p_"))]
out["sums"] = {}
for c in inputs:
    text = f"cast({c} as string)" if flat(df, c) else "null"
    r = df.selectExpr(f"sum(cast(xxhash64({c}) as decimal(38,0))) x", f"sum(cast(xxhash64({text}) as decimal(38,0))) s").first()
    out["sums"][c] = {"xxhash64": int(r.x) % 2**64, "text": int(r.s) % 2**64 if flat(df, c) else None}
out["floats"] = [[struct.pack(">f", r[0]).hex(), r[1]] for r in df.where("f32 is not null").selectExpr("f32", "cast(f32 as string)").distinct().orderBy("f32").collect()]
out["doubles"] = [[struct.pack(">d", r[0]).hex(), r[1]] for r in df.where("f64 is not null").selectExpr("f64", "cast(f64 as string)").distinct().orderBy("f64").collect()]
with open("vectors.json", "w") as f:
    json.dump(out, f, indent=None, separators=(",", ":"))
    f.write("\n")

# The content hash in Spark SQL, as the doc comment of package contenthash has it.
names = [c for c in inputs if flat(df, c)]
cell = lambda c: f"cast(xxhash64('{c}', {c}) as decimal(38,0))"
total = " + ".join(cell(c) for c in names)
row = f"cast(xxhash64(cast(pmod({total} + 9223372036854775808, 18446744073709551616) - 9223372036854775808 as bigint)) as decimal(38,0))"
r = df.selectExpr("count(*) n", f"sum({row}) row_sum", *[f"sum({cell(c)}) c_{c}" for c in names]).first()
with open("../../contenthash/testdata/content.json", "w") as f:
    json.dump({"rows": r.n, "row_sum": int(r.row_sum) % 2**64, "columns": [{"name": c, "sum": int(r["c_" + c]) % 2**64} for c in names]}, f, indent=1)
    f.write("\n")
