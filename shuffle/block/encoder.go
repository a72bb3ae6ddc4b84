package block

import (
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/sluice-engine/sluice/dataset/column"
)

// Defaults of Options.
const (
	DefaultPageBytes       = 256 << 10
	DefaultSmallBytes      = 4 << 10
	DefaultDictionaryBytes = 256 << 10
)

// Options say how the pages of a chunk are made. The zero value compresses nothing and takes the
// defaults for the rest.
type Options struct {
	Codec Codec
	// PageBytes is the size of values and levels, before encoding, at which a page is closed; 0 means
	// DefaultPageBytes. Every open encoder may hold that much.
	PageBytes int
	// SmallBytes is the size below which a whole chunk becomes one uncompressed PLAIN page; 0 means
	// never. A codec's fixed cost is not worth a few rows that will be encoded again at the reduce
	// side.
	SmallBytes int
	// DictionaryBytes limits a chunk's dictionary page before compression; 0 means
	// DefaultDictionaryBytes, below 0 means that no dictionary is made.
	DictionaryBytes int
	// Hint is shared by the encoders of one leaf; nil means that each decides for itself.
	Hint *Hint
}

// ChunkEncoder gathers values of one leaf and makes a column chunk of them. An empty one is tiny:
// a map task has one for every partition and leaf. It is owned by one goroutine at a time.
//
// Values of the open page lie in PLAIN form, whatever they will become, so that gathering is
// copying. When the page is full it is encoded, with the chunk's dictionary if that pays, and
// compressed at once.
type ChunkEncoder struct {
	leaf           *schema.Column
	o              Options
	width          int32 // of a value, 0 for byte arrays
	maxDef, maxRep int16
	order          order
	boolean        bool
	s              *state // nil before the first row
}

// state is what an encoder holds once it has rows.
type state struct {
	pages  []Page // closed data pages
	rows   int64  // of the chunk
	raw    int64  // bytes of closed pages before encoding, without verbatim ones
	coded  int64  // bytes those became
	closed int64  // bytes of all closed pages

	dict      *dictionary // nil: none yet
	dictOff   bool        // no further page uses it
	dictCount int         // values in dictionary-coded pages

	openRows  int
	def, rep  []uint8
	vals      []byte // PLAIN, but a byte for a boolean
	numValues int
}

// NewChunkEncoder returns an empty encoder for a leaf of the output schema.
func NewChunkEncoder(leaf *schema.Column, o Options) *ChunkEncoder {
	if o.PageBytes <= 0 {
		o.PageBytes = DefaultPageBytes
	}
	// A small chunk is one page, so a page must hold it.
	o.PageBytes = min(max(o.PageBytes, o.SmallBytes), MaxPageBytes/2)
	if o.DictionaryBytes == 0 {
		o.DictionaryBytes = DefaultDictionaryBytes
	}
	return &ChunkEncoder{
		leaf: leaf, o: o, width: int32(column.Width(leaf)), order: orderOf(leaf),
		maxDef: leaf.MaxDefinitionLevel(), maxRep: leaf.MaxRepetitionLevel(),
		boolean: leaf.PhysicalType() == parquet.Types.Boolean,
	}
}

// size is the number of bytes in the open page.
func (s *state) size() int { return len(s.vals) + len(s.def) + len(s.rep) }

func (s *state) levels() int {
	if s.def != nil {
		return len(s.def)
	}
	return s.numValues
}

// Rows is the number of rows since the last Finish.
func (e *ChunkEncoder) Rows() int64 {
	if e.s == nil {
		return 0
	}
	return e.s.rows
}

// Bytes is the memory that the encoder holds: closed pages, buffers of the open page, dictionary.
func (e *ChunkEncoder) Bytes() int64 {
	s := e.s
	if s == nil {
		return 0
	}
	n := s.closed + int64(cap(s.vals)+cap(s.def)+cap(s.rep))
	if s.dict != nil {
		n += int64(s.dict.memory())
	}
	return n
}

// EncodedEstimate guesses the size of the chunk if Finish were called now: closed pages as they
// are, the open one by the ratio of those before it, or by half.
func (e *ChunkEncoder) EncodedEstimate() int64 {
	s := e.s
	if s == nil {
		return 0
	}
	n, open := s.closed, int64(s.size())
	if s.dict != nil {
		n += int64(len(s.dict.vals))
	}
	switch {
	case e.o.Codec == None && s.raw == 0:
		return n + open
	case s.raw == 0:
		return n + open/2
	}
	return n + int64(float64(open)*float64(s.coded)/float64(s.raw))
}

// AppendVerbatim closes the open page and adds the data pages of a chunk as they are; their bytes
// are shared with c. The chunk must be PLAIN and in the encoder's codec.
func (e *ChunkEncoder) AppendVerbatim(c *Chunk) error {
	if c.Codec != e.o.Codec || c.HasDictionary() {
		return fmt.Errorf("column %s: only PLAIN pages in %s can be appended verbatim", e.leaf.Path(), e.o.Codec)
	}
	for i := range c.Pages {
		if c.Pages[i].Encoding != parquet.Encodings.Plain {
			return fmt.Errorf("column %s: a page in %s cannot be appended verbatim", e.leaf.Path(), c.Pages[i].Encoding)
		}
	}
	s := e.state()
	if err := e.closePage(e.o.Codec); err != nil {
		return err
	}
	s.pages = append(s.pages, c.Pages...)
	s.rows += c.Rows
	s.closed += c.CompressedSize()
	return nil
}

// Finish closes the chunk. The encoder is empty again and can be used for the next one; it keeps
// the buffers of its open page until Release. A chunk without rows has no pages.
func (e *ChunkEncoder) Finish() (Chunk, error) {
	s := e.s
	if s == nil || s.rows == 0 {
		return Chunk{Codec: e.o.Codec}, nil
	}
	codec := e.o.Codec
	if len(s.pages) == 0 && s.size() < e.o.SmallBytes {
		codec = None
		s.dictOff = true
	}
	if err := e.closePage(codec); err != nil {
		return Chunk{}, err
	}
	c := Chunk{Codec: codec, Pages: s.pages, Rows: s.rows}
	c.Min, c.Max = mergeStats(e.order, int(e.width), c.Pages)
	for i := range c.Pages {
		c.Levels += int64(c.Pages[i].Levels)
		c.Nulls += int64(c.Pages[i].Nulls)
	}
	if s.dict != nil {
		e.o.Hint.hit()
		sc := getScratch()
		defer sc.put()
		p := Page{Dictionary: true, Encoding: parquet.Encodings.Plain, Levels: s.dict.n}
		if err := p.seal(DictionaryPage, codec, s.dict.vals, sc); err != nil {
			return Chunk{}, fmt.Errorf("column %s: %w", e.leaf.Path(), err)
		}
		c.Pages = append([]Page{p}, c.Pages...)
		s.dict.release()
	}
	*s = state{def: s.def, rep: s.rep, vals: s.vals}
	return c, nil
}

// Release gives back the buffers that Finish keeps for the next chunk. Rows that were not finished
// are dropped.
func (e *ChunkEncoder) Release() {
	s := e.s
	if s == nil {
		return
	}
	if s.dict != nil {
		s.dict.release()
	}
	for _, b := range [][]byte{s.vals, s.def, s.rep} {
		putBuffer(b)
	}
	e.s = nil
}

func (e *ChunkEncoder) state() *state {
	if e.s == nil {
		e.s = new(state)
	}
	return e.s
}

// closePage makes a page of the open rows, if there are any.
func (e *ChunkEncoder) closePage(codec Codec) error {
	s := e.s
	if s.openRows == 0 {
		return nil
	}
	sc := getScratch()
	defer sc.put()
	p := Page{Rows: s.openRows, Levels: s.levels()}
	p.Nulls = p.Levels - s.numValues
	if s.size() > MaxPageBytes || p.Levels > MaxPageLevels {
		return fmt.Errorf("column %s: a row has %d bytes and %d entries, more than a page may hold (%d and %d)",
			e.leaf.Path(), s.size(), p.Levels, MaxPageBytes, MaxPageLevels)
	}
	body, inPlace := sc.body[:0], false
	if e.maxRep > 0 {
		body = appendLevels(body, s.rep, uint8(e.maxRep))
	}
	if e.maxDef > 0 {
		body = appendLevels(body, s.def, uint8(e.maxDef))
	}
	switch {
	case e.tryDictionary(sc):
		width := max(1, bits.Len(uint(s.dict.n-1)))
		body = appendHybrid(append(body, byte(width)), sc.codes, width)
		p.Encoding = parquet.Encodings.RLEDict
		sc.used, sc.marks = s.dict.used(sc.used[:0], sc.codes, sc.marks)
		p.Min, p.Max = minMax(e.order, int(e.width), sc.used)
	default:
		p.Encoding = parquet.Encodings.Plain
		p.Min, p.Max = minMax(e.order, int(e.width), s.vals)
		switch {
		case e.boolean:
			body = appendBools(body, s.vals)
		case len(body) == 0:
			body, inPlace = s.vals, true // nothing stands before the values: they need not be copied
		default:
			body = append(body, s.vals...)
		}
	}
	if !inPlace {
		sc.body = body[:0]
	}
	if err := p.seal(DataPage, codec, body, sc); err != nil {
		return fmt.Errorf("column %s: %w", e.leaf.Path(), err)
	}
	s.pages = append(s.pages, p)
	s.raw += int64(s.size())
	s.coded += int64(len(p.Bytes))
	s.closed += int64(len(p.Bytes))
	s.def, s.rep, s.vals = s.def[:0], s.rep[:0], s.vals[:0]
	s.openRows, s.numValues = 0, 0
	return nil
}

// tryDictionary encodes the open page with the chunk's dictionary. It returns false if the page has
// to be PLAIN: then the dictionary is as it was before, and is not used again in this chunk. The
// values are still there, so nothing has to be decoded to fall back.
func (e *ChunkEncoder) tryDictionary(sc *scratch) bool {
	s := e.s
	if s.dictOff || e.boolean || e.o.DictionaryBytes < 0 {
		return false
	}
	if s.dict == nil {
		if s.numValues < minDictionaryValues {
			return false
		}
		if e.o.Hint.useless() {
			s.dictOff = true
			return false
		}
		s.dict = newDictionary(int(e.width))
	}
	d, before := s.dict, s.dict.n
	codes, ok := d.encode(sc.codes[:0], s.vals, s.dictCount, e.o.DictionaryBytes)
	sc.codes = codes
	total := s.dictCount + s.numValues
	if ok && before == 0 {
		// Short values may be smaller than their codes and the dictionary together.
		ok = len(d.vals)+len(codes)*bits.Len(uint(d.n))/8 < len(s.vals)
	}
	// A chunk with few different values so far could still swallow a page in which all differ.
	if ok && d.n*maxDistinctShare <= total && (d.n-before)*2 <= len(codes) {
		s.dictCount = total
		return true
	}
	s.dictOff = true
	d.truncate(before)
	if before == 0 {
		if total >= judgeValues {
			e.o.Hint.miss()
		}
		d.release()
		s.dict = nil
	}
	return false
}

// seal compresses a body and puts the header with its CRC before it.
func (p *Page) seal(typ PageType, codec Codec, body []byte, sc *scratch) error {
	stored := body
	if codec != None {
		var err error
		if stored, err = codec.Compress(sc.stored[:0], body); err != nil {
			return fmt.Errorf("compressing a page with %s: %w", codec, err)
		}
		sc.stored = stored[:0]
	}
	if len(stored) > MaxPageBytes || len(body) > MaxPageBytes {
		return fmt.Errorf("a page of %d bytes is larger than %d", max(len(stored), len(body)), MaxPageBytes)
	}
	var head [64]byte
	h := AppendHeader(head[:0], &Header{
		Type: typ, Uncompressed: len(body), Compressed: len(stored), CRC: crc32.ChecksumIEEE(stored),
		NumValues: p.Levels, Encoding: p.Encoding,
	})
	p.HeaderLen = len(h)
	p.Uncompressed = len(h) + len(body)
	p.Bytes = append(append(getBuffer(len(h)+len(stored)), h...), stored...)
	return nil
}

// scratch is memory for making one page. It is taken from a pool, so that encoders need none of
// their own.
type scratch struct {
	body, stored, used []byte
	codes              []uint32
	marks              []uint64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxScratch is the largest buffer that goes back to the pool: one huge row must not pin memory.
const maxScratch = 8 << 20

func getScratch() *scratch { return scratches.Get().(*scratch) } //nolint:errcheck // the pool holds nothing else

func (sc *scratch) put() {
	if cap(sc.body)+cap(sc.stored)+cap(sc.used)+4*cap(sc.codes) <= maxScratch {
		scratches.Put(sc)
	}
}
