package fetch

import (
	"context"
	"slices"
)

// local reads the sources whose files are on this host. It has no goroutine: the page cache reads
// ahead.
type local struct {
	merged  *merged
	sources []asked
	stream  *stream
	buf     []byte
}

func (l *local) next(ctx context.Context) (*fetched, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.stream.ctx.Err(); err != nil {
		return nil, err
	}
	c, err := l.merged.peek()
	if err != nil {
		return nil, err // io.EOF: every index was read whole, which is each source's statement
	}
	at, e := c.at(), c.entries[0]
	data, err := c.reader.Read(e, l.buf)
	if err != nil {
		// Once more: memory can be wrong where the disk is right.
		l.stream.flight.refetches.Add(1)
		if data, err = c.reader.Read(e, l.buf); err != nil {
			return nil, failed(l.source(at.source), err)
		}
	}
	l.buf = data
	if err := l.merged.pop(); err != nil {
		return nil, failed(l.source(at.source), err)
	}
	// The buffer is used again for the next piece. That is safe: a head is read only after the piece
	// before it was given back.
	return &fetched{at: at, rows: e.Rows, data: data}, nil
}

func (l *local) source(index int) asked {
	i := slices.IndexFunc(l.sources, func(a asked) bool { return a.index == index })
	return l.sources[i]
}

func (l *local) close() error { return l.merged.close() }
