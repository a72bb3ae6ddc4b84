package transport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// HostID names what this process sees as its local disk: equal ids can read each other's files by
// path. It is made of the machine's boot id, the host name and the mount namespace, so that two
// containers on one machine differ, and it stays the same while the machine, or the container, runs.
//
// It is a hint: who opens a file by it also checks that it is the file that was meant.
func HostID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("host id: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host id: %w", err)
	}
	mounts, err := os.Readlink("/proc/self/ns/mnt") // "mnt:[4026531841]"
	if err != nil {
		return "", fmt.Errorf("host id: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(boot)) + "\n" + name + "\n" + mounts))
	return hex.EncodeToString(sum[:12]), nil
}
