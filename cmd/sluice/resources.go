package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/internal/memory"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/node"
)

// resources are what a process may use to run tasks. Zero values mean the default.
type resources struct {
	MemoryLimit model.Size `json:"memory_limit,omitempty"`
	TempDir     []string   `json:"temp_dir,omitempty"`
	Threads     int        `json:"threads,omitempty"`
	Slots       int        `json:"slots,omitempty"`
}

// minMemory is what a process needs to do anything sensible.
const minMemory model.Size = 128 << 20

// maxThreads is more than any machine has; above it a number was mistyped.
const maxThreads = 4096

// bind defines the flags.
func (r *resources) bind(f *pflag.FlagSet) {
	f.Var(&r.MemoryLimit, "memory-limit", "`SIZE` of memory to use (default three quarters of the container's limit, or half of the machine's memory where there is no limit)")
	f.StringArrayVar(&r.TempDir, "temp-dir", nil, "`DIR` for scratch; may be repeated, the one with most space free is used (default "+defaultTemp+")")
	f.IntVar(&r.Threads, "threads", 0, "`N` threads to work with (default one per CPU)")
	f.IntVar(&r.Slots, "slots", 0, "`N` map tasks at a time, which share the threads (default 1)")
	section(f, sectionProcess, "memory-limit", "temp-dir", "threads", "slots")
}

// defaultTemp is node.DefaultTempDir in help, which is the same for everybody.
const defaultTemp = "/var/tmp/sluice-UID"

// resourceFlags are the names of the flags that bind defines.
var resourceFlags = []string{"memory-limit", "temp-dir", "threads", "slots"}

// settle checks the values and fills in the defaults.
func (r *resources) settle() error {
	if r.Threads == 0 {
		r.Threads = runtime.GOMAXPROCS(0)
	}
	if r.Slots == 0 {
		r.Slots = 1
	}
	var errs []error
	if r.Threads < 1 || r.Threads > maxThreads {
		errs = append(errs, usagef("--threads %d: want 1 to %d", r.Threads, maxThreads))
	} else if r.Slots < 1 || r.Slots > r.Threads {
		errs = append(errs, usagef("--slots %d: want 1 to the number of threads, %d", r.Slots, r.Threads))
	}
	if r.MemoryLimit == 0 {
		limit, err := defaultMemory()
		if err != nil {
			return fmt.Errorf("finding out how much memory there is (--memory-limit says it too): %w", err)
		}
		r.MemoryLimit = limit
	} else if r.MemoryLimit < minMemory {
		errs = append(errs, usagef("--memory-limit %s: want at least %s", r.MemoryLimit, minMemory))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	dir, err := roomiest(r.TempDir)
	if err != nil {
		return err
	}
	r.TempDir = []string{dir}
	return nil
}

// defaultMemory leaves room for the rest of a machine, and for what the runtime and the kernel count
// against a container beyond what Sluice accounts for.
func defaultMemory() (model.Size, error) {
	limit, err := memory.Find()
	if err != nil {
		return 0, err
	}
	if limit.Cgroup {
		return max(model.Size(limit.Bytes/4*3), minMemory), nil
	}
	return max(model.Size(limit.Bytes/2), minMemory), nil
}

// roomiest chooses the directory with the most space free.
func roomiest(dirs []string) (string, error) {
	if len(dirs) == 0 {
		return node.DefaultTempDir(), nil
	}
	best, most := "", uint64(0)
	for _, d := range dirs {
		if d == "" {
			return "", usagef("--temp-dir: the name is empty")
		}
		abs, err := filepath.Abs(d)
		if err != nil {
			return "", usagef("--temp-dir %s: %w", d, err)
		}
		free, err := freeBytes(abs)
		if err != nil {
			return "", usagef("--temp-dir %s: %w", d, err)
		}
		if best == "" || free > most {
			best, most = abs, free
		}
	}
	return best, nil
}

// freeBytes asks the nearest directory above that exists: the rest will be made.
func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return st.Bavail * uint64(st.Bsize), nil
		}
		if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return 0, err
		}
		dir = filepath.Dir(dir)
	}
}
