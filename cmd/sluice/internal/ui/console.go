// Package ui writes for people and for programs that read the terminal: progress, receipts, plans and
// tables. It decides nothing; every function is given what it shows.
package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Console is standard error: log lines, errors and progress share it. A line that comes while bars
// are shown goes above them. It may be written to concurrently.
type Console struct {
	// Now is the clock of progress and rates.
	Now func() time.Time

	out      io.Writer
	terminal bool

	mu    sync.Mutex // guards above, and writes to out
	above io.Writer  // set while bars are shown
}

// NewConsole makes a console; terminal says whether bars can be drawn there.
func NewConsole(out io.Writer, terminal bool) *Console {
	return &Console{Now: time.Now, out: out, terminal: terminal}
}

func (c *Console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.above != nil {
		if n, err := c.above.Write(b); err == nil {
			return n, nil
		}
	}
	return c.out.Write(b)
}

// Line writes one line for people. A terminal that is gone cannot be told so.
func (c *Console) Line(format string, a ...any) {
	_, _ = fmt.Fprintf(c, format+"\n", a...)
}

// Interrupted writes a line that follows a key such as Ctrl-C, which a terminal shows as ^C: the line
// goes over it.
func (c *Console) Interrupted(line string) {
	if c.terminal {
		line = "\r" + line
	}
	c.Line("%s", line)
}

// divert sends lines elsewhere until it is called with nil.
func (c *Console) divert(w io.Writer) {
	c.mu.Lock()
	c.above = w
	c.mu.Unlock()
}

// JSON writes one indented document.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
