package memory

import (
	"os"
	"path/filepath"
	"testing"
)

const gib = 1 << 30

func TestFindTakesTheSmallestLimit(t *testing.T) {
	const meminfo = "MemTotal:        8388608 kB\nMemFree:         1000 kB\n"
	tests := []struct {
		name  string
		files map[string]string
		want  Limit
	}{
		{"a machine without control groups", nil, Limit{Bytes: 8 * gib}},
		{"version 2, own group", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "1073741824\n",
		}, Limit{Bytes: gib, Cgroup: true}},
		{"version 2, a group above is tighter", map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "2147483648\n",
			"sys/fs/cgroup/a/memory.max":   "1073741824\n",
		}, Limit{Bytes: gib, Cgroup: true}},
		{"version 2, no limit", map[string]string{
			"proc/self/cgroup":           "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "max\n",
		}, Limit{Bytes: 8 * gib}},
		{"version 2, in a container's own namespace", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/memory.max": "1073741824\n",
		}, Limit{Bytes: gib, Cgroup: true}},
		{"version 1, the host's path cannot be seen", map[string]string{
			"proc/self/cgroup":                           "9:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, Limit{Bytes: gib, Cgroup: true}},
		{"version 1, no limit", map[string]string{
			"proc/self/cgroup":                           "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, Limit{Bytes: 8 * gib}},
		{"a limit above the machine", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/memory.max": "17179869184\n",
		}, Limit{Bytes: 8 * gib}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "proc/meminfo", meminfo)
			for name, content := range tt.files {
				write(t, root, name, content)
			}
			got, err := find(root)
			if err != nil || got != tt.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestFindOnThisMachine(t *testing.T) {
	l, err := Find()
	if err != nil || l.Bytes < 1<<20 {
		t.Fatalf("got %+v, %v", l, err)
	}
}

func TestFindReportsDamage(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/meminfo", "MemTotal: many kB\n")
	if _, err := find(root); err == nil {
		t.Fatal("want an error")
	}
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
