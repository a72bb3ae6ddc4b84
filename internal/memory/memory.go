// Package memory finds out how much memory this process may use.
package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Limit is what a process may use, and who says so.
type Limit struct {
	Bytes int64
	// Cgroup is true when a control group sets the limit, and not the size of the machine.
	Cgroup bool
}

// Find returns the smallest limit that holds for this process: of its control groups, version 1 or 2,
// from its own up to the topmost that can be seen, and the machine's memory.
func Find() (Limit, error) { return find("/") }

// find is Find below another root, for tests.
func find(root string) (Limit, error) {
	total, err := machine(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return Limit{}, err
	}
	group, err := cgroup(root)
	if err != nil {
		return Limit{}, err
	}
	if group > 0 && group < total {
		return Limit{Bytes: group, Cgroup: true}, nil
	}
	return Limit{Bytes: total}, nil
}

// machine reads MemTotal.
func machine(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), "MemTotal:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 53)
		if err != nil {
			return 0, fmt.Errorf("%s: MemTotal: %w", path, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("%s: no MemTotal", path)
}

// cgroup returns the smallest limit of the groups that this process is in; 0: there is none. A system
// without control groups has no such file.
func cgroup(root string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var smallest int64
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		// hierarchy:controllers:path; version 2 has the hierarchy 0 and no controllers.
		part := strings.SplitN(s.Text(), ":", 3)
		if len(part) != 3 {
			continue
		}
		mount, file := filepath.Join(root, "sys/fs/cgroup"), "memory.max"
		switch {
		case part[0] == "0" && part[1] == "":
		case hasController(part[1], "memory"):
			mount, file = filepath.Join(mount, "memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		n, err := smallestUpwards(mount, part[2], file)
		if err != nil {
			return 0, err
		}
		if n > 0 && (smallest == 0 || n < smallest) {
			smallest = n
		}
	}
	return smallest, nil
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// smallestUpwards looks at a group and at all above it. In a container the path may be one of the host
// that cannot be seen here; the mount's root is then the container's own group.
func smallestUpwards(mount, path, file string) (int64, error) {
	var smallest int64
	for p := filepath.Clean("/" + path); ; p = filepath.Dir(p) {
		b, err := os.ReadFile(filepath.Join(mount, p, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return 0, err
		}
		// "max", and what version 1 writes for no limit (more than 2^62), are no limits.
		n, perr := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && perr == nil && n > 0 && n < 1<<62 && (smallest == 0 || int64(n) < smallest) {
			smallest = int64(n)
		}
		if p == "/" {
			return smallest, nil
		}
	}
}
