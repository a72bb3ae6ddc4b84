package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sluice-engine/sluice/dataset/column"
)

// AppendRows gathers rows of v, given by their indices in ascending order. v must be indexed. Its
// values are copied.
func (e *ChunkEncoder) AppendRows(v *column.Vector, rows []uint32) error {
	if len(rows) == 0 {
		return nil
	}
	if err := e.check(v, int(rows[len(rows)-1])+1); err != nil {
		return err
	}
	s := e.state()
	for len(rows) > 0 {
		var n int
		switch {
		case e.maxRep > 0:
			n = e.gatherRepeated(s, v, rows)
		case e.maxDef > 0:
			n = e.gatherNullable(s, v, rows)
		case e.width == 0:
			n = e.gatherBytes(s, v, rows)
		default:
			n = e.gatherFixed(s, v, rows)
		}
		rows = rows[n:]
		if err := e.added(s, n); err != nil {
			return err
		}
	}
	return nil
}

// Append adds the rows from <= i < to of v, which must be indexed. Its values are copied.
func (e *ChunkEncoder) Append(v *column.Vector, from, to int) error {
	if from < 0 || from > to {
		return fmt.Errorf("column %s: rows %d to %d of a batch", e.leaf.Path(), from, to)
	}
	if from == to {
		return nil
	}
	if err := e.check(v, to); err != nil {
		return err
	}
	s := e.state()
	for from < to {
		n := 0
		if e.maxRep == 0 && e.width > 0 {
			n = e.fitting(s, to-from)
			e.appendRun(s, v, from, from+n)
		} else {
			for from+n < to && (n == 0 || s.size() < e.o.PageBytes) {
				e.appendRun(s, v, from+n, from+n+1)
				n++
			}
		}
		from += n
		if err := e.added(s, n); err != nil {
			return err
		}
	}
	return nil
}

// check makes sure that v is a vector of this leaf with at least rows rows.
func (e *ChunkEncoder) check(v *column.Vector, rows int) error {
	switch {
	case v.Values.Width != int(e.width) || v.Leaf.MaxDefinitionLevel() != e.maxDef || v.Leaf.MaxRepetitionLevel() != e.maxRep:
		return fmt.Errorf("column %s: values of column %s, which has another type, cannot be appended", e.leaf.Path(), v.Leaf.Path())
	case rows > v.Rows:
		return fmt.Errorf("column %s: row %d of a batch of %d rows", e.leaf.Path(), rows-1, v.Rows)
	case e.maxDef > math.MaxUint8:
		return fmt.Errorf("column %s: %d definition levels: columns may be nested %d deep", e.leaf.Path(), e.maxDef, math.MaxUint8)
	}
	return nil
}

// added counts rows of the open page and closes it when it is full.
func (e *ChunkEncoder) added(s *state, rows int) error {
	s.openRows += rows
	s.rows += int64(rows)
	if s.size() < e.o.PageBytes {
		return nil
	}
	return e.closePage(e.o.Codec)
}

// fitting is how many of n rows of a flat fixed-width leaf surely fit into the open page; at least 1.
func (e *ChunkEncoder) fitting(s *state, n int) int {
	each := int(e.width)
	if e.maxDef > 0 {
		each++
	}
	return max(1, min(n, (e.o.PageBytes-s.size()+each-1)/each))
}

// room makes room for n more bytes of values. A buffer that outgrew half a page gets the size of a
// page at once, and not twice that. b is given back.
func (e *ChunkEncoder) room(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	size := max(64, 2*cap(b), len(b)+n)
	if size > e.o.PageBytes {
		size = max(len(b)+n, e.o.PageBytes+e.o.PageBytes/16)
	}
	c := append(getBuffer(size), b...)
	putBuffer(b)
	return c
}

// gatherFixed takes rows of a required leaf with values of a fixed width.
func (e *ChunkEncoder) gatherFixed(s *state, v *column.Vector, rows []uint32) int {
	n, w := e.fitting(s, len(rows)), int(e.width)
	old := len(s.vals)
	s.vals = e.room(s.vals, n*w)[:old+n*w]
	dst, src := s.vals[old:], v.Values.Data
	switch w {
	case 1:
		for i, r := range rows[:n] {
			dst[i] = src[r]
		}
	case 4:
		for i, r := range rows[:n] {
			binary.LittleEndian.PutUint32(dst[i*4:], binary.LittleEndian.Uint32(src[int(r)*4:]))
		}
	case 8:
		for i, r := range rows[:n] {
			binary.LittleEndian.PutUint64(dst[i*8:], binary.LittleEndian.Uint64(src[int(r)*8:]))
		}
	default:
		for i, r := range rows[:n] {
			copy(dst[i*w:i*w+w], src[int(r)*w:])
		}
	}
	s.numValues += n
	return n
}

// gatherBytes takes rows of a required leaf of byte arrays.
func (e *ChunkEncoder) gatherBytes(s *state, v *column.Vector, rows []uint32) int {
	n := 0
	for n < len(rows) && (n == 0 || s.size() < e.o.PageBytes) {
		r := rows[n]
		e.appendBytes(s, v.Values.Data[v.Values.Offsets[r]:v.Values.Offsets[r+1]])
		n++
	}
	s.numValues += n
	return n
}

// gatherNullable takes rows of an optional leaf that is not repeated.
func (e *ChunkEncoder) gatherNullable(s *state, v *column.Vector, rows []uint32) int {
	limit, w := len(rows), int(e.width)
	if w > 0 {
		limit = e.fitting(s, len(rows))
		s.vals = e.room(s.vals, limit*w)
	}
	s.def = e.room(s.def, min(limit, e.o.PageBytes))
	n := 0
	for n < limit && (n == 0 || w > 0 || s.size() < e.o.PageBytes) {
		r := int(rows[n])
		n++
		def := v.Def[r]
		s.def = append(s.def, uint8(def))
		if def != e.maxDef {
			continue
		}
		at, _ := v.ValueRange(r)
		s.numValues++
		switch w {
		case 0:
			e.appendBytes(s, v.Values.Data[v.Values.Offsets[at]:v.Values.Offsets[at+1]])
		case 8:
			s.vals = binary.LittleEndian.AppendUint64(s.vals, v.Values.Uint64(at))
		case 4:
			s.vals = binary.LittleEndian.AppendUint32(s.vals, v.Values.Uint32(at))
		default:
			s.vals = append(s.vals, v.Values.Data[at*w:at*w+w]...)
		}
	}
	return n
}

// gatherRepeated takes rows of a repeated leaf.
func (e *ChunkEncoder) gatherRepeated(s *state, v *column.Vector, rows []uint32) int {
	n := 0
	for n < len(rows) && (n == 0 || s.size() < e.o.PageBytes) {
		r := int(rows[n])
		e.appendRun(s, v, r, r+1)
		n++
	}
	return n
}

// appendRun copies the rows from <= i < to, from < to, without looking at the size of the page.
func (e *ChunkEncoder) appendRun(s *state, v *column.Vector, from, to int) {
	if e.maxDef > 0 {
		first, _ := v.LevelRange(from)
		_, end := v.LevelRange(to - 1)
		s.def = appendUint8(e.room(s.def, end-first), v.Def[first:end])
		if e.maxRep > 0 {
			s.rep = appendUint8(e.room(s.rep, end-first), v.Rep[first:end])
		}
	}
	first, _ := v.ValueRange(from)
	_, end := v.ValueRange(to - 1)
	s.numValues += end - first
	if w := int(e.width); w > 0 {
		s.vals = append(e.room(s.vals, (end-first)*w), v.Values.Data[first*w:end*w]...)
		return
	}
	for i := first; i < end; i++ {
		e.appendBytes(s, v.Values.Data[v.Values.Offsets[i]:v.Values.Offsets[i+1]])
	}
}

// appendBytes adds one byte array in PLAIN form.
func (e *ChunkEncoder) appendBytes(s *state, b []byte) {
	vals := e.room(s.vals, 4+len(b))
	vals = binary.LittleEndian.AppendUint32(vals, uint32(len(b)))
	s.vals = append(vals, b...)
}

func appendUint8(dst []uint8, levels []int16) []uint8 {
	for _, l := range levels {
		dst = append(dst, uint8(l))
	}
	return dst
}
