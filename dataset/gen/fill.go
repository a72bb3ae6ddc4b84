package gen

import (
	"encoding/binary"
	"math"
)

// span is the part of a row group that one page holds.
type span struct {
	from, to int    // rows
	present  int    // rows that are not null
	valid    []byte // bit per row, least significant first; nil in a required column
}

// maxValueBytes is more than any value in PLAIN encoding takes; a payload has 221 bytes at most.
const maxValueBytes = 256

// The times of the landing set. File k holds the events of minute k, in order of arrival: an event
// comes late by an exponential time, which puts it among those of the file before.
const (
	firstTime   = 1_777_593_600_000_000 // 2026-05-01 00:00:00 UTC, in microseconds
	fileMicros  = 60_000_000
	meanLate    = 5_000_000
	maxLate     = fileMicros - 1
	meanTransit = 2_000_000 // from the device's clock to ours
)

func fillEventIDs(w *worker, b []byte, p span) []byte {
	at := len(b)
	b = b[:at+40*p.present]
	for ; at < len(b); at += 40 {
		binary.LittleEndian.PutUint32(b[at:], 36)
		putUUID(b[at+4:], w.rnd.uint64(), w.rnd.uint64())
	}
	return b
}

func fillTimes(w *worker, b []byte, p span) []byte {
	step := float64(fileMicros) / float64(w.file.rows)
	first := firstTime + int64(w.file.index)*fileMicros
	for i := p.from; i < p.to; i++ {
		late := min(w.rnd.exponential(meanLate), maxLate)
		w.times[i] = first + int64(float64(w.firstRow+int64(i))*step) - int64(late)
		b = binary.LittleEndian.AppendUint64(b, uint64(w.times[i]))
	}
	return b
}

func fillReceived(w *worker, b []byte, p span) []byte {
	for i := p.from; i < p.to; i++ {
		received := w.times[i] + int64(w.rnd.exponential(meanTransit))
		b = binary.LittleEndian.AppendUint64(b, uint64(received))
	}
	return b
}

// fillUserIDs gives every device one user. A null is written too, and then overwritten: whether a
// row is null cannot be predicted, and a store costs less than a branch that goes wrong.
func fillUserIDs(w *worker, b []byte, p span) []byte {
	at := len(b)
	end := at + 8*p.present
	b = b[:end+8]
	for i, device := range w.devices[p.from:p.to] {
		binary.LittleEndian.PutUint64(b[at:], 1_000_000+7_919*uint64(device))
		at += int(p.valid[i>>3]>>(i&7)&1) * 8
	}
	return b[:end]
}

func fillSessionIDs(w *worker, b []byte, p span) []byte {
	for range p.present {
		b = binary.LittleEndian.AppendUint64(b, w.rnd.uint64()>>17)
	}
	return b
}

func fillSequence(w *worker, b []byte, p span) []byte {
	for range p.present {
		b = binary.LittleEndian.AppendUint32(b, uint32(below32(w.rnd.uint64(), 32, 2000)))
	}
	return b
}

func fillDurations(w *worker, b []byte, p span) []byte {
	for range p.present {
		b = binary.LittleEndian.AppendUint32(b, uint32(w.rnd.exponential(800)))
	}
	return b
}

// fillAmounts makes prices of whole cents around 50.
func fillAmounts(w *worker, b []byte, p span) []byte {
	for range p.present {
		amount := math.Floor(w.rnd.exponential(5000)) / 100
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(amount))
	}
	return b
}

func fillLatitudes(w *worker, b []byte, p span) []byte {
	for range p.present {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(w.rnd.unit()*180-90))
	}
	return b
}

// fillIsNew is true for one event in twenty.
func fillIsNew(w *worker, b []byte, p span) []byte {
	at := len(b)
	b = b[:at+(p.present+7)/8]
	w.rnd.flags(b[at:], p.present, 243)
	return b
}

// The parts of a URL, in their order.
var (
	urlFirst  = newFragments("https://www.example.com/", words, "/")
	urlSecond = newFragments("", words, "/")
	urlThird  = newFragments("", words, "/item?id=")
	urlRef    = newFragments("&ref=", []string{""}, "")
	urlSource = newFragments("&utm_source=", words, "")
)

func fillURLs(w *worker, b []byte, p span) []byte {
	at, n := len(b), uint(len(words))
	b = b[:cap(b)]
	for range p.present {
		start := at
		u := w.rnd.uint64()
		at = urlFirst[below16(u, 0, n)].put(b, at+4)
		at = urlSecond[below16(u, 16, n)].put(b, at)
		at = urlThird[below16(u, 32, n)].put(b, at)
		putDigits(b[at:], uint32(below32(w.rnd.uint64(), 32, 90_000_000))+10_000_000)
		at = urlRef[0].put(b, at+8)
		putBase32(b[at:], w.rnd.uint64())
		at = urlSource[below16(u, 48, n)].put(b, at+12)
		binary.LittleEndian.PutUint32(b[start:], uint32(at-start-4))
	}
	return b[:at]
}

// The parts of a payload, a JSON document of some 180 bytes, in their order.
var (
	payloadScreen     = newFragments(`{"screen":"`, words, `","position":`)
	payloadExperiment = newFragments(`,"experiment":{"id":`, numbers(50), `,"variant":"`)
	payloadVariant    = newFragments(``, words, `"},"score":0.`)
	payloadTrace      = newFragments(`,"trace":"`, []string{""}, ``)
	payloadItems      = newFragments(`","items":`, []string{""}, ``)
	payloadNet        = newFragments(`],"consent":true,"net":"`, words, `"}`)
)

func fillPayloads(w *worker, b []byte, p span) []byte {
	at, n := len(b), uint(len(words))
	b = b[:cap(b)]
	for range p.present {
		start := at
		u, v := w.rnd.uint64(), w.rnd.uint64()
		at = payloadScreen[below16(u, 0, n)].put(b, at+4)
		at = putPosition(b, at, below16(u, 16, 1000))
		at = payloadExperiment[below16(u, 32, uint(len(payloadExperiment)))].put(b, at)
		at = payloadVariant[below16(u, 48, n)].put(b, at)
		putDigits(b[at:], uint32(below32(v, 32, 100_000_000)))
		at = payloadTrace[0].put(b, at+8)
		putHex(b[at:], w.rnd.uint64())
		at = payloadItems[0].put(b, at+16)
		at = w.putItems(b, at, 1+int(below16(v, 16, 6)))
		at = payloadNet[below16(v, 0, n)].put(b, at)
		binary.LittleEndian.PutUint32(b[start:], uint32(at-start-4))
	}
	return b[:at]
}

// putPosition writes a number below 1000 without leading zeros.
func putPosition(b []byte, at int, v uint) int {
	if v >= 100 {
		b[at] = byte('0' + v/100)
		at++
	} else if v < 10 {
		b[at] = byte('0' + v)
		return at + 1
	}
	binary.LittleEndian.PutUint16(b[at:], decimalPairs[v%100])
	return at + 2
}

// putItems writes an open list of n numbers of seven digits. A number is written with eight, and
// the bracket or the comma takes the place of its first, a zero.
func (w *worker) putItems(b []byte, at, n int) int {
	start := at
	for u := uint64(0); n > 0; n-- {
		if u >>= 32; u == 0 {
			u = w.rnd.uint64()
		}
		putDigits(b[at:], uint32(below32(u, 0, 9_000_000))+1_000_000)
		b[at] = ','
		at += 8
	}
	b[start] = '['
	return at
}
