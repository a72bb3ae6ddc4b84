package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
	"github.com/sluice-engine/sluice/plan"
)

// beatEvery is how often a claim is rewritten; a claim of another host is dead when it was seen
// unchanged for claimTimeout of the watcher's own clock.
const (
	beatEvery    = 10 * time.Second
	claimTimeout = 30 * time.Second
)

// claimBody is the content of a claim file.
type claimBody struct {
	Job     model.JobID `json:"job"`
	Host    string      `json:"host"` // boot id and host name: the flock counts only there
	PID     int         `json:"pid"`
	Side    string      `json:"side"`
	Created string      `json:"created,omitempty"` // topmost directory made for this output
	Beat    int64       `json:"beat"`
}

// Claim is the right of one job to write an output. It is kept alive until Close.
type Claim struct {
	fs     vfs.FS
	out    string
	path   string
	file   vfs.File
	mirror vfs.File // the same claim in the side, which becomes the output's control directory
	body   claimBody

	stop chan struct{}
	done chan struct{}
	once sync.Once
	err  error
}

// Prepared is what claiming an output found out.
type Prepared struct {
	Out        string // absolute, symlinks resolved
	StagingDir string
	ShareToken string
	Old        []plan.OldFile // every file that was there
}

// shareTokenFile lies in the staging directory.
const shareTokenFile = "share-token.tmp"

// Prepare claims the output for a job, ends or undoes what a dead job left there, and makes the
// staging directory. out must be absolute. Under model.ModeError an output that holds anything is a
// conflict. On an error nothing of the job is left behind.
func Prepare(ctx context.Context, fsys vfs.FS, job model.JobID, token, out string, mode model.Mode) (c *Claim, p Prepared, err error) {
	if resolved, rerr := filepath.EvalSymlinks(out); rerr == nil {
		out = resolved
	}
	created, err := makeOutput(fsys, out)
	if err != nil {
		return nil, p, err
	}
	l := layout{fs: fsys, job: job, out: out}
	defer func() {
		if err != nil {
			err = errors.Join(err, abandon(l, c, created))
			c = nil
		}
	}()
	if l.side, err = chooseSide(fsys, job, out); err != nil {
		return nil, p, err
	}
	if err = fsys.MkdirAll(l.control()); err != nil {
		return nil, p, outputError(out, err)
	}
	if c, err = takeClaim(ctx, fsys, l, claimBody{Job: job, Host: hostID(), PID: os.Getpid(), Side: l.side, Created: created}); err != nil {
		return nil, p, err
	}
	if p.Old, err = listFiles(fsys, out); err != nil {
		return c, p, err
	}
	if mode == model.ModeError && len(p.Old) > 0 {
		return c, p, model.Failf(model.ReasonConflict,
			"output %s is not empty (%d files, such as %s): choose another --out, or replace it with --mode overwrite", out, len(p.Old), p.Old[0].Path)
	}
	if err = makeSide(fsys, l, token); err != nil {
		return c, p, outputError(out, err)
	}
	if err = c.mirrorTo(l.sideControl()); err != nil {
		return c, p, outputError(out, err)
	}
	p.Out, p.StagingDir, p.ShareToken = out, l.stage(), token
	return c, p, nil
}

// makeOutput makes the output directory and returns the topmost directory that had to be made.
func makeOutput(fsys vfs.FS, out string) (created string, err error) {
	for dir := out; ; dir = filepath.Dir(dir) {
		info, serr := fsys.Stat(dir)
		if serr == nil {
			if !info.IsDir() {
				return "", model.Failf(model.ReasonConflict, "output %s: %s is a file, not a directory", out, dir)
			}
			break
		}
		if !errors.Is(serr, fs.ErrNotExist) {
			return "", outputError(out, serr)
		}
		created = dir
	}
	if err := fsys.MkdirAll(out); err != nil {
		return created, outputError(out, err)
	}
	return created, nil
}

func outputError(out string, err error) error {
	reason := model.ReasonUser
	if errors.Is(err, unix.ENOSPC) {
		reason = model.ReasonDiskFull
	}
	return model.Failf(reason, "output %s cannot be written: %w", out, err)
}

// chooseSide makes the side directory: beside the output when it can be swapped with it, else below.
func chooseSide(fsys vfs.FS, job model.JobID, out string) (string, error) {
	parent := filepath.Dir(out)
	if sameDevice(out, parent) {
		side := filepath.Join(parent, sideName(job))
		err := fsys.Mkdir(side)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return side, nil
		}
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS) {
			return "", outputError(out, err)
		}
	}
	return filepath.Join(out, controlDir, sideName(job)), nil
}

// sameDevice reports whether a directory lies on its parent's device: else it is a mount point.
func sameDevice(dir, parent string) bool {
	var a, b unix.Stat_t
	return parent != dir && unix.Stat(dir, &a) == nil && unix.Stat(parent, &b) == nil && a.Dev == b.Dev
}

func makeSide(fsys vfs.FS, l layout, token string) error {
	if err := fsys.MkdirAll(l.stage()); err != nil {
		return err
	}
	mark := filepath.Join(l.sideControl(), l.newMark())
	if err := vfs.WriteFile(fsys, mark, nil); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return vfs.ReplaceFile(fsys, filepath.Join(l.stage(), shareTokenFile), []byte(token))
}

// abandon takes back what a failed Prepare made. The side may be there without a claim: it is made
// first.
func abandon(l layout, c *Claim, created string) error {
	var errs []error
	if l.side != "" {
		errs = append(errs, l.fs.RemoveAll(l.side))
	}
	if c != nil {
		errs = append(errs, c.End())
	} else {
		errs = append(errs, removeMade(l.fs, l.out, created))
	}
	return errors.Join(errs...)
}

// removeMade removes the control directory and the directories that were made for an output, if
// nothing came into them.
func removeMade(fsys vfs.FS, out, created string) error {
	if err := removeEmptyDirs(fsys, out, filepath.Join(out, controlDir)); err != nil {
		return err
	}
	if created == "" {
		return nil
	}
	return removeEmptyDirs(fsys, filepath.Dir(created), out)
}

// Adopt takes the claim of a running job again after the coordinator was restarted.
func Adopt(ctx context.Context, fsys vfs.FS, conf model.JobConf) (*Claim, error) {
	l := layoutOf(fsys, conf)
	if err := fsys.MkdirAll(l.control()); err != nil {
		return nil, outputError(l.out, err)
	}
	c, err := takeClaim(ctx, fsys, l, claimBody{Job: conf.Job, Host: hostID(), PID: os.Getpid(), Side: l.side})
	if err == nil {
		err = c.mirrorAgain(l)
	}
	if err != nil && c != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, err
}

// mirrorAgain puts this claim in the place of the copy that the process before the restart left in the
// side; a copy under the old number would stay in the output after the swap, and nobody would hold it.
func (c *Claim) mirrorAgain(l layout) error {
	unpublished, err := exists(l.fs, filepath.Join(l.sideControl(), l.newMark()))
	if err != nil || !unpublished {
		return err
	}
	_, names, err := claims(l.fs, l.sideControl())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removeIfThere(l.fs, name); err != nil {
			return err
		}
	}
	return c.mirrorTo(l.sideControl())
}

// takeClaim puts claim-<n>, after it dealt with every claim that is there.
func takeClaim(ctx context.Context, fsys vfs.FS, l layout, body claimBody) (*Claim, error) {
	for {
		highest, names, err := claims(fsys, l.control())
		if err != nil {
			return nil, outputError(l.out, err)
		}
		if highest > 0 {
			old, err := watch(ctx, fsys, l, names[highest])
			if err != nil {
				return nil, err
			}
			if body.Created == "" {
				body.Created = old.Created // a dead job made the directory: it is still ours to remove
			}
		}
		path := filepath.Join(l.control(), "claim-"+strconv.Itoa(highest+1))
		f, err := fsys.CreateNew(path)
		if errors.Is(err, fs.ErrExist) {
			continue // another job was faster: look at its claim
		}
		if err != nil {
			return nil, outputError(l.out, err)
		}
		c := &Claim{fs: fsys, out: l.out, path: path, file: f, body: body, stop: make(chan struct{}), done: make(chan struct{})}
		if err := c.start(l); err != nil {
			return nil, errors.Join(outputError(l.out, err), f.Close(), removeIfThere(fsys, path))
		}
		for _, name := range names {
			if err := takeOver(fsys, l, name); err != nil {
				return c, err
			}
		}
		return c, nil
	}
}

func lock(f vfs.File) error {
	fd, ok := f.(interface{ Fd() uintptr })
	if !ok {
		return nil
	}
	if err := unix.Flock(int(fd.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return nil
}

// mirrorTo puts the same claim into the side's control directory: after the swap it is the one that
// others see.
func (c *Claim) mirrorTo(control string) (err error) {
	if c.mirror, err = c.fs.CreateNew(filepath.Join(control, filepath.Base(c.path))); err != nil {
		return err
	}
	if err := lock(c.mirror); err != nil {
		return err
	}
	return writeClaim(c.mirror, c.body)
}

// start locks the claim, writes it, and keeps it alive.
func (c *Claim) start(l layout) error {
	if err := lock(c.file); err != nil {
		return err
	}
	if err := c.beat(); err != nil {
		return err
	}
	if err := c.fs.SyncDir(l.control()); err != nil {
		return err
	}
	go c.keepAlive()
	return nil
}

func (c *Claim) beat() error {
	c.body.Beat++
	return writeClaim(c.file, c.body)
}

func writeClaim(f vfs.File, body claimBody) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return err
	}
	return f.Sync()
}

func (c *Claim) keepAlive() {
	defer close(c.done)
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-t.C:
			if err := c.beat(); err != nil && c.err == nil {
				c.err = fmt.Errorf("keeping the claim %s alive: %w", c.path, err)
			}
		}
	}
}

// Close lets the claim go without removing it: after a crash, or when the process ends before the
// job does, the next one finds it dead.
func (c *Claim) Close() error {
	c.once.Do(func() {
		close(c.stop)
		<-c.done
		c.err = errors.Join(c.err, c.file.Close())
		if c.mirror != nil {
			c.err = errors.Join(c.err, c.mirror.Close())
		}
	})
	return c.err
}

// End ends the claim of a job whose cleanup is done: the claim goes, and so do the directories that
// were made for the output if it stayed empty.
func (c *Claim) End() error {
	err := removeIfThere(c.fs, c.path)
	if err == nil {
		err = removeMade(c.fs, c.out, c.body.Created)
	}
	return errors.Join(err, c.Close())
}

// claims lists the claim files of an output by number.
func claims(fsys vfs.FS, control string) (highest int, names map[int]string, err error) {
	entries, err := fsys.ReadDir(control)
	if err != nil {
		return 0, nil, err
	}
	names = map[int]string{}
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "claim-")
		if n, err := strconv.Atoi(text); ok && err == nil && n > 0 {
			names[n] = filepath.Join(control, e.Name())
			highest = max(highest, n)
		}
	}
	return highest, names, nil
}

// watch returns the body of a dead claim; a live one is a conflict.
func watch(ctx context.Context, fsys vfs.FS, l layout, path string) (claimBody, error) {
	body, err := readClaim(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return claimBody{}, nil // released a moment ago
	}
	if err != nil {
		return body, outputError(l.out, err)
	}
	live := model.Failf(model.ReasonConflict,
		"output %s is being written by job %s (process %d): wait for it to end, or choose another --out", l.out, body.Job, body.PID)
	if body.Job == l.job {
		return body, nil // our own, from before a restart
	}
	if body.Host == hostID() {
		locked, err := isLocked(path)
		if err != nil {
			return body, outputError(l.out, err)
		}
		if locked {
			return body, live
		}
		return body, nil
	}
	// Another host: flock says nothing. It is dead when it stays unchanged.
	select {
	case <-ctx.Done():
		return body, ctx.Err()
	case <-time.After(claimTimeout):
	}
	again, err := readClaim(fsys, path)
	if err == nil && again.Beat != body.Beat {
		return body, live
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return body, outputError(l.out, err)
	}
	return body, nil
}

func readClaim(fsys vfs.FS, path string) (body claimBody, err error) {
	b, err := vfs.ReadFile(fsys, path, 1<<20)
	if err != nil {
		return body, err
	}
	if len(b) == 0 {
		return body, nil // made, not yet written: its process holds the lock or is dead
	}
	if err := json.Unmarshal(b, &body); err != nil {
		return body, fmt.Errorf("%s is not a claim of Sluice: %w", path, err)
	}
	return body, nil
}

func isLocked(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	locked := errors.Is(err, unix.EWOULDBLOCK)
	if locked {
		err = nil
	}
	return locked, errors.Join(err, f.Close())
}

// takeOver ends or undoes what the job of a dead claim left, then removes the claim.
func takeOver(fsys vfs.FS, l layout, path string) error {
	body, err := readClaim(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return outputError(l.out, err)
	}
	if body.Job != "" && body.Job != l.job {
		dead := layout{fs: fsys, job: body.Job, out: l.out, side: body.Side}
		if err := dead.recover(); err != nil {
			return fmt.Errorf("ending what the dead job %s left in %s: %w", body.Job, l.out, err)
		}
	}
	return removeIfThere(fsys, path)
}

// hostID names this boot of this host.
func hostID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return host
	}
	return host + "/" + strings.TrimSpace(string(boot))
}
