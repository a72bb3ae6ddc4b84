package e2e

import (
	"path/filepath"
	"reflect"
	"testing"
)

// The size of the event job in these tests.
const (
	eventRows  = 2_000_000
	eventFiles = 200
	eventTypes = 500
)

func TestEventJobInOneProcess(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	j := newJob(t)
	r := j.mustRepartition(t, in, "--partition-by", "type")
	checkEventJob(t, in, j, r)
	// Nothing here is larger than the default target: one file for every type.
	if r.FilesOut != eventTypes {
		t.Errorf("%d files, want one for each of the %d types", r.FilesOut, eventTypes)
	}
}

func TestEventJobCutsFilesAtTheTargetSize(t *testing.T) {
	const target = 2 << 20
	in := events(t, eventRows, eventFiles)
	j := newJob(t)
	r := j.mustRepartition(t, in, "--partition-by", "type", "--target-file-size", "2MiB")
	files := checkEventJob(t, in, j, r)

	// Within 0.75 to 1.25 times the target, except one remainder of each type.
	small := map[string]int{}
	for name, size := range files {
		if float64(size) > 1.25*target {
			t.Errorf("%s has %d bytes, more than 1.25 x %d", name, size, target)
		}
		if float64(size) < 0.75*target {
			small[filepath.Dir(name)]++
		}
	}
	for dir, n := range small {
		if n > 1 {
			t.Errorf("%s has %d files below 0.75 x the target; only one may be a remainder", dir, n)
		}
	}
	// The first type holds a quarter of 400 MB.
	if n := directories(files); len(files) < eventTypes+20 || len(n) != eventTypes {
		t.Errorf("%d files in %d directories: the large types should have several", len(files), len(n))
	}
}

func TestEventJobOnThreeExecutors(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	c := startCluster(t, 3)
	j := newJob(t)
	c.submit(in, j).wait().mustExit(t, 0)
	r := readReceipt(t, j.receipt)
	checkEventJob(t, in, j, r)
	j.leftNothing(t)
	if r.Retries != 0 {
		t.Errorf("%d attempts were repeated though nothing failed", r.Retries)
	}
	c.stop()
}

// checkEventJob checks what the event job wrote: rows and receipt against the referee, the files
// against the receipt. It returns the files' sizes.
func checkEventJob(t *testing.T, in string, j job, r receipt) map[string]int64 {
	t.Helper()
	files := dataFiles(t, j.out, 1)
	if n := len(directories(files)); n != eventTypes {
		t.Errorf("%d type= directories, want %d", n, eventTypes)
	}
	var bytes, histogram int64
	for _, size := range files {
		bytes += size
	}
	for _, n := range r.FileSizes {
		histogram += n
	}
	got := r
	got.FileSizes = nil
	want := receipt{
		State: "succeeded", RowsIn: eventRows, RowsOut: eventRows, FilesIn: eventFiles,
		FilesOut: int64(len(files)), BytesOut: bytes, Partitions: eventTypes,
		// What this function cannot know from the files.
		MapTasks: r.MapTasks, WriteTasks: r.WriteTasks, Retries: r.Retries, Fetch: r.Fetch, Hash: r.Hash,
	}
	if !reflect.DeepEqual(got, want) || histogram != int64(len(files)) || r.Hash.Rows != eventRows {
		t.Errorf("the receipt says\n%+v, the output\n%+v in %d files of the histogram", got, want, histogram)
	}
	sameRows(t, in, j.out, "type")
	// However the rows travelled, they are the same rows.
	if eventHash == "" {
		eventHash = string(r.Hash.RowSum)
	}
	if string(r.Hash.RowSum) != eventHash {
		t.Errorf("the content hash is %s; another run of this job had %s", r.Hash.RowSum, eventHash)
	}
	return files
}

// eventHash is the content hash in the first receipt of the event job.
var eventHash string
