package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// withFooter makes a Parquet file of a piece: its chunks as they are, and a footer from the chunk
// table alone.
func withFooter(t *testing.T, sc *schema.Schema, p *Piece) []byte {
	t.Helper()
	var props []parquet.WriterProperty
	for i := range p.Chunks {
		props = append(props, parquet.WithCompressionFor(sc.Column(i).Path(), p.Chunks[i].Codec.Parquet()))
	}
	fb := metadata.NewFileMetadataBuilder(sc, parquet.NewWriterProperties(props...), nil)
	rg := fb.AppendRowGroup()
	out := []byte("PAR1")
	for i := range p.Chunks {
		c := &p.Chunks[i]
		info := metadata.ChunkMetaInfo{
			NumValues: c.Levels, DataPageOffset: int64(len(out)), IndexPageOffset: -1,
			CompressedSize: c.CompressedSize(), UncompressedSize: c.UncompressedSize(),
		}
		es := metadata.EncodingStats{DictEncodingStats: map[parquet.Encoding]int32{}, DataEncodingStats: map[parquet.Encoding]int32{}}
		if c.HasDictionary() {
			info.DictPageOffset = int64(len(out))
			info.DataPageOffset += int64(len(c.Pages[0].Bytes))
			es.DictEncodingStats[c.Pages[0].Encoding]++
		}
		for _, pg := range c.DataPages() {
			es.DataEncodingStats[pg.Encoding]++
		}
		for _, pg := range c.Pages {
			out = append(out, pg.Bytes...)
		}
		cc := rg.NextColumnChunk()
		st := metadata.EncodedStatistics{HasNullCount: true, NullCount: c.Nulls}
		if c.Min != nil {
			st.SetMin(c.Min).SetMax(c.Max)
		}
		cc.SetStats(st)
		if err := cc.Finish(info, c.HasDictionary(), false, es); err != nil {
			t.Fatal(err)
		}
	}
	rg.SetNumRows(int(p.Rows))
	if err := rg.Finish(int64(len(out)), 0); err != nil {
		t.Fatal(err)
	}
	md, err := fb.Finish()
	if err != nil {
		t.Fatal(err)
	}
	buf := bytes.NewBuffer(out)
	n, err := md.WriteTo(buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.LittleEndian.AppendUint32(buf.Bytes(), uint32(n)), "PAR1"...)
}

// TestABlockWithAFooterIsAParquetFile has arrow-go read pages of every type, codec and encoding.
func TestABlockWithAFooterIsAParquetFile(t *testing.T) {
	sc := testSchema()
	leaves := testLeaves(sc)
	for i, o := range []Options{
		{}, {Codec: Snappy, PageBytes: 500}, {Codec: Gzip, PageBytes: 2000, DictionaryBytes: -1},
		{Codec: Zstd, SmallBytes: 3000}, {Codec: LZ4, PageBytes: 700},
	} {
		t.Run(fmt.Sprintf("%s %d", o.Codec, o.PageBytes), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 9))
			p, vecs := randomPiece(t, rng, leaves, 700, o)
			p, err := DecodePiece(leaves, mustFrame(t, p))
			if err != nil {
				t.Fatal(err)
			}
			r, err := file.NewParquetReader(bytes.NewReader(withFooter(t, sc, p)))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			dicts := 0
			for j, leaf := range leaves {
				if p.Chunks[j].HasDictionary() {
					dicts++
				}
				cr, err := r.RowGroup(0).Column(j)
				if err != nil {
					t.Fatal(err)
				}
				got := column.New(leaf)
				if err := readWithArrow(cr, int(p.Chunks[j].Levels), got); err != nil {
					t.Fatalf("%s: %v", leaf.Path(), err)
				}
				if err := diff(got, vecs[j]); err != nil {
					t.Fatalf("%s: arrow-go reads %v", leaf.Path(), err)
				}
			}
			if o.DictionaryBytes == 0 && o.SmallBytes == 0 && dicts < 10 {
				t.Errorf("only %d chunks have a dictionary", dicts)
			}
		})
	}
}

// readWithArrow fills a vector through arrow-go's low-level reader.
func readWithArrow(cr file.ColumnChunkReader, levels int, v *column.Vector) error {
	def, rep := make([]int16, levels), make([]int16, levels)
	n, err := readValues(cr, levels, def, rep, v)
	if err != nil {
		return err
	}
	if n != int64(levels) || cr.HasNext() {
		return fmt.Errorf("%d of %d levels", n, levels)
	}
	v.Rows = levels
	if v.Leaf.MaxDefinitionLevel() > 0 {
		v.Def = def
	}
	if v.Leaf.MaxRepetitionLevel() > 0 {
		v.Rep = rep
		v.Rows = 0
		for _, l := range rep {
			if l == 0 {
				v.Rows++
			}
		}
	}
	return v.Check()
}

func readValues(cr file.ColumnChunkReader, levels int, def, rep []int16, v *column.Vector) (int64, error) {
	le := binary.LittleEndian
	put := v.Values.AppendBytes
	switch cr := cr.(type) {
	case *file.BooleanColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x bool) {
			if x {
				put([]byte{1})
			} else {
				put([]byte{0})
			}
		})
	case *file.Int32ColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x int32) { put(le.AppendUint32(nil, uint32(x))) })
	case *file.Int64ColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x int64) { put(le.AppendUint64(nil, uint64(x))) })
	case *file.Int96ColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x parquet.Int96) { put(x[:]) })
	case *file.Float32ColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x float32) { put(le.AppendUint32(nil, math.Float32bits(x))) })
	case *file.Float64ColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x float64) { put(le.AppendUint64(nil, math.Float64bits(x))) })
	case *file.ByteArrayColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x parquet.ByteArray) { put(x) })
	case *file.FixedLenByteArrayColumnChunkReader:
		return readAll(cr.ReadBatch, levels, def, rep, func(x parquet.FixedLenByteArray) { put(x) })
	}
	return 0, fmt.Errorf("reader %T", cr)
}

// readAll calls ReadBatch until all levels are there: it stops at the end of a page.
func readAll[T any](read func(int64, []T, []int16, []int16) (int64, int, error), levels int, def, rep []int16, put func(T)) (int64, error) {
	vals := make([]T, levels)
	total := int64(0)
	for total < int64(levels) {
		n, k, err := read(int64(levels)-total, vals, def[total:], rep[total:])
		if err != nil || n == 0 {
			return total, err
		}
		for _, x := range vals[:k] {
			put(x)
		}
		total += n
	}
	return total, nil
}
