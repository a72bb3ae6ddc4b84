package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/model"
)

// shownHotKeys is how many of the largest partitions a person gets to see.
const shownHotKeys = 5

// printer keeps the first error of many lines.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, a ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", a...)
	}
}

// pair is a line of a name and what it is.
func (p *printer) pair(name, format string, a ...any) {
	p.line("  %-13s %s", name, fmt.Sprintf(format, a...))
}

// Receipt shows what a job did.
func Receipt(w io.Writer, r model.Receipt) error {
	p := &printer{w: w}
	took := r.Ended.Sub(r.Submitted)
	head := fmt.Sprintf("job %s %s in %s", r.Job, r.State, Duration(took))
	if rate := perSecond(r.RowsIn, took); rate > 0 && r.State == model.JobSucceeded {
		head += fmt.Sprintf(", %s rows/s", Count(rate))
	}
	p.line("%s\n", head)
	p.pair("rows", "%s in, %s out", Count(r.RowsIn), Count(r.RowsOut))
	p.pair("bytes", "%s in, %s out (%s)", Size(r.BytesIn), Size(r.BytesOut), r.Codec)
	files := fmt.Sprintf("%s in, %s out", Count(r.FilesIn), Count(r.FilesOut))
	if r.FilesGone > 0 {
		files += ", " + counted(r.FilesGone, "old file") + " replaced"
	}
	p.pair("files", "%s", files)
	p.pair("partitions", "%s, %s", Count(r.Partitions), r.Partitioning)
	p.pair("tasks", "%s", tasks(r))
	p.pair("shuffle", "%s", shuffle(r))
	if r.EmptyText > 0 {
		p.pair("note", "%s with an empty text as partition value: it comes back as null", counted(r.EmptyText, "row"))
	}
	p.pair("output", "%s (mode %s)", r.Out, r.Mode)
	p.pair("verified", "%s", verified(r.Verified))
	if len(r.Hash.Columns) > 0 || r.Hash.Rows > 0 {
		p.pair("content hash", "%s over %s, %s", r.Hash.RowSum, counted(r.Hash.Rows, "row"), counted(int64(len(r.Hash.Columns)), "column"))
	}
	p.histogram(r.FileSizes)
	p.hotKeys(r)
	return p.err
}

func tasks(r model.Receipt) string {
	s := fmt.Sprintf("%d map, %d write", r.MapTasks, r.Tasks)
	if r.MapTasks == 0 || r.ShuffleBytes == 0 && r.MapTasks == r.Tasks {
		s = fmt.Sprintf("%d that read and write", r.Tasks)
	}
	return fmt.Sprintf("%s; %d retried, %d spilled", s, r.Retries, r.Spills)
}

func shuffle(r model.Receipt) string {
	if r.ShuffleBytes == 0 {
		return "none"
	}
	s := Size(r.ShuffleBytes)
	if r.Fetch.RemoteBytes > 0 {
		s += fmt.Sprintf(", %s of them over the network", Size(r.Fetch.RemoteBytes))
	}
	if r.Fetch.Refetches > 0 {
		s += fmt.Sprintf(", %s fetched again after a bad checksum", counted(r.Fetch.Refetches, "block"))
	}
	return s
}

func verified(v model.VerifyLevel) string {
	switch v {
	case model.VerifyContent:
		return "rows and content: the files were read back and hashed"
	case model.VerifyRows:
		return "rows: counted by the footers of the files"
	}
	return "no"
}

// histogramWidth is the length of the longest bar.
const histogramWidth = 40

// histogram shows how many output files have which size.
func (p *printer) histogram(sizes []int64) {
	lo, hi, most := -1, -1, int64(0)
	for i, n := range sizes {
		if n == 0 || i >= 62 {
			continue
		}
		if lo < 0 {
			lo = i
		}
		hi, most = i, max(most, n)
	}
	if lo < 0 {
		return
	}
	t := columns("file size", ">files", "")
	for i := lo; i <= hi; i++ {
		bar := strings.Repeat("#", int((sizes[i]*histogramWidth+most-1)/most))
		t.AppendRow([]any{"up to " + Size(int64(2)<<i), Count(sizes[i]), bar})
	}
	p.table(t.Render())
}

func (p *printer) hotKeys(r model.Receipt) {
	if len(r.HotKeys) == 0 {
		return
	}
	t := columns("largest partitions", ">rows", ">share", ">size")
	for i, k := range r.HotKeys {
		if i == shownHotKeys {
			break
		}
		t.AppendRow([]any{partitionName(k.Key), Count(k.Rows), percent(k.Rows, r.RowsOut), Size(k.Bytes)})
	}
	p.table(t.Render())
}

// table writes a rendered table as a paragraph of its own, moved in.
func (p *printer) table(text string) {
	p.line("")
	for _, l := range strings.Split(text, "\n") {
		p.line("%s", strings.TrimRight("  "+l, " "))
	}
}

// partitionName is a partition as people know it: the directory, else the number.
func partitionName(k model.PartitionKey) string {
	if k.Path != "" {
		return k.Path
	}
	return fmt.Sprintf("number %d", k.Bucket)
}

// since is how long ago something was, roughly.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return Seconds(max(now.Sub(t), 0)) + " ago"
}
