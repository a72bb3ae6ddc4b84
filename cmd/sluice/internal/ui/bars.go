package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// writeLine writes a value as one line of JSON. Progress is a hint: that it could not be written is
// seen by whoever reads it.
func writeLine(w io.Writer, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	_, _ = w.Write(append(b, '\n'))
}

// barsAfter keeps short jobs from flashing; barRefresh is how often bars are drawn.
const (
	barsAfter  = 300 * time.Millisecond
	barRefresh = 125 * time.Millisecond
	barWidth   = 28
	barSteps   = 1000
)

// bars draws one bar per stage, and above them what the job is doing. They are gone after Close: the
// receipt says the same for good.
type bars struct {
	console *Console
	clock   *clock
	box     *mpb.Progress
	head    atomic.Pointer[string]
	lanes   []*laneBar
	all     []*mpb.Bar
}

type laneBar struct {
	bar   *mpb.Bar
	count atomic.Pointer[string]
	text  atomic.Pointer[string]
}

func (b *bars) Update(s Snapshot) {
	b.clock.see(s)
	if b.clock.elapsed() < barsAfter || s.Ended {
		return
	}
	b.start()
	head := s.State
	if s.What != "" {
		head = s.What + "  " + s.State
	}
	if s.Detail != "" {
		head += " (" + s.Detail + ")"
	}
	head += "  " + Seconds(b.clock.elapsed())
	b.head.Store(&head)
	for i, l := range s.Lanes {
		if i == len(b.lanes) {
			b.lanes = append(b.lanes, b.addLane(l))
		}
		b.lanes[i].show(b.clock, l)
	}
}

// start draws the first line.
func (b *bars) start() {
	if b.box != nil {
		return
	}
	b.box = mpb.New(mpb.WithOutput(b.console.out), mpb.WithRefreshRate(barRefresh), mpb.WithWidth(barWidth), mpb.WithAutoRefresh())
	b.console.divert(b.box)
	head := b.box.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return load(&b.head) })))
	b.all = append(b.all, head)
}

func (b *bars) addLane(l Lane) *laneBar {
	lb := &laneBar{}
	lb.bar = b.box.New(barSteps, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.PrependDecorators(
			decor.Name(fmt.Sprintf("  %-6s ", l.Name)),
			decor.Any(func(decor.Statistics) string { return load(&lb.count) }, decor.WC{W: 15, C: decor.DindentRight | decor.DextraSpace}),
		),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + load(&lb.text) })),
	)
	b.all = append(b.all, lb.bar)
	return lb
}

func load(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

func (lb *laneBar) show(c *clock, l Lane) {
	count := l.count()
	text := c.figures(l)
	lb.count.Store(&count)
	lb.text.Store(&text)
	// The last step is not taken: a bar that mpb thinks complete cannot go back, a stage can.
	lb.bar.SetCurrent(min(int64(l.fraction()*barSteps), barSteps-1))
}

func (b *bars) Close() {
	if b.box == nil {
		return
	}
	b.console.divert(nil)
	for _, bar := range b.all {
		bar.Abort(true)
	}
	b.box.Wait()
	b.box = nil
}
