package commit

// Facts are what a look at an output directory tells about a publish that nobody carries on: its
// process is gone, and its journal with it or not at hand.
type Facts struct {
	Record bool // the record is there and whole: length and checksum fit
	Commit bool // the commit object is there
	Staged int  // files of the record that still have their staged name
	Placed int  // files of the record that have their final name, with the size it says
	Files  int  // files in the record
}

// Recovery is how a dead publish is ended.
type Recovery uint8

// The recoveries. In each case Cleanup follows.
const (
	RecoverNothing Recovery = iota // it changed nothing: no record, no commit
	RecoverUndo                    // take back what has its final name; the old data stays
	RecoverForward                 // go on with Rename, or with what follows it when all is placed
	RecoverFinish                  // it is committed: only forward
)

func (r Recovery) String() string {
	return [...]string{"nothing", "undo", "forward", "finish"}[r]
}

// Recover decides from what is there. Before the commit point it goes on only if that is wanted
// (the job was not stopped, and somebody will check the files) and no file is missing.
//
// Without a record nothing has its final name yet, or all is finished: Finish removes the record when the
// old files are gone, and the commit object after it.
func Recover(f Facts, wanted bool) Recovery {
	switch {
	case !f.Record:
		return RecoverNothing
	case f.Commit:
		return RecoverFinish
	case wanted && f.Staged+f.Placed == f.Files:
		return RecoverForward
	}
	return RecoverUndo
}
