// Package plan decides what a job is made of: it packs input files into splits, divides the output
// of a map stage into reduce tasks, and explains both before anything runs. It is pure: facts in,
// decisions out.
package plan

import "github.com/sluice-engine/sluice/model"

// Job is a planned job: what is fixed before its first task.
type Job struct {
	Conf   model.JobConf
	Splits []model.Split
	// Old are the data files that an overwrite replaces; it is what was there when the job was
	// planned, and nothing that came later.
	Old []OldFile
	// InputFiles, InputRows and InputBytes are totals over the splits.
	InputFiles int64
	InputRows  int64
	InputBytes int64
}

// OldFile is a data file that was in the output before the job.
type OldFile struct {
	Path    string `json:"path"` // below the output directory
	Size    int64  `json:"size"`
	ModTime int64  `json:"mod_time"` // Unix nanoseconds
}
