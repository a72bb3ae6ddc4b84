package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/ui"
	"github.com/sluice-engine/sluice/model"
)

// job is everything that a job file may say: what is to be done, and with what when this process does
// it. Its fields are the flags of `sluice repartition` under the same names.
type job struct {
	model.JobSpec
	resources
	Execution string `json:"execution,omitempty"`
	Receipt   string `json:"receipt,omitempty"`
}

// The values of --execution beside those of model.Execution.
const executionAuto = "auto"

// bindExecution defines --execution, for verbs that run a job in this process.
func (j *jobFlags) bindExecution(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&j.flags.Execution, "execution", "", "`HOW` a job runs in this process: fused (rows stay in memory as far as they fit), staged (by way of map outputs on disk, as on a cluster) or auto (default), which is fused")
	section(f, sectionAdvanced, "execution")
	complete(c, "execution", executionAuto, string(model.ExecutionFused), string(model.ExecutionStaged))
}

// execution is how the job runs in this process.
func (j *job) execution() (model.Execution, error) {
	switch e := model.Execution(j.Execution); e {
	case model.ExecutionFused, model.ExecutionStaged:
		return e, nil
	case "", executionAuto:
		return model.ExecutionFused, nil
	}
	return "", usagef("--execution %s: want auto, fused or staged", j.Execution)
}

// jobFlags reads a job from flags, environment and a job file.
type jobFlags struct {
	flags job
	file  string // -f
}

// bindSpec defines the flags of a JobSpec: one for each of its fields but the input, which is given as
// arguments.
func (j *jobFlags) bindSpec(c *cobra.Command) {
	f, s := c.Flags(), &j.flags.JobSpec
	f.SortFlags = false
	f.StringVar(&s.Out, "out", "", "`DIR` to write")
	f.StringSliceVar(&s.PartitionBy, "partition-by", nil, "`COLUMNS` that become directories, name=value, and leave the files; commas between them, or repeat the flag")
	f.StringSliceVar(&s.By, "by", nil, fmt.Sprintf("`COLUMNS` whose hash (Spark's) gives each row its partition; -n of them, %d if not given", model.DefaultShufflePartitions))
	f.IntVarP(&s.N, "n", "n", 0, "`N` partitions; without --by rows are dealt out round robin")
	f.BoolVar(&s.NoShuffle, "no-shuffle", false, "no row moves: every map task writes its own files")
	f.StringVar((*string)(&s.Mode), "mode", "", "what happens when the output is not empty, `MODE`: error (default) or overwrite, which replaces all of it")
	f.Var(&s.TargetFileSize, "target-file-size", fmt.Sprintf("`SIZE` at which an output file is full (default %s)", ui.Size(int64(model.DefaultTargetFileSize))))
	f.Var(&s.RowGroupSize, "row-group-size", fmt.Sprintf("`SIZE` of the row groups in them (default %s)", ui.Size(int64(model.DefaultRowGroupSize))))
	f.StringVar(&s.Compression, "compression", "", "`CODEC` of the output: keep (the input's, default), zstd, snappy, gzip, lz4 or none")
	f.StringVar((*string)(&s.Verify), "verify", "", "`HOW` the output is checked before it is published: rows (default) counts them by the footers, content also reads them back and compares the content hash")
	f.StringVar(&s.Name, "name", "", "`NAME` of the job for people (default the last part of --out)")
	f.StringVar(&s.Key, "key", "", "`KEY` that makes submitting idempotent: a second job with the same name and key is the first one")
	f.Var(&s.SplitSize, "split-size", fmt.Sprintf("`SIZE` of input that one map task reads at most (default %s)", ui.Size(int64(model.DefaultSplitSize))))
	f.Var(&s.OpenCost, "open-cost", fmt.Sprintf("`SIZE` that opening a file counts for when tasks are packed (default %s)", ui.Size(int64(model.DefaultOpenCost))))
	f.IntVar(&s.Buckets, "buckets", 0, fmt.Sprintf("`N` ranges into which partition values are hashed for the shuffle (default %d)", model.DefaultBuckets))
	section(f, sectionFiles, "mode", "target-file-size", "row-group-size", "compression", "verify")
	section(f, sectionAdvanced, "name", "key", "split-size", "open-cost", "buckets")
	complete(c, "mode", string(model.ModeError), string(model.ModeOverwrite))
	complete(c, "compression", model.Compressions...)
	complete(c, "verify", string(model.VerifyRows), string(model.VerifyContent))
}

// bindFile defines -f.
func (j *jobFlags) bindFile(c *cobra.Command) {
	c.Flags().StringVarP(&j.file, "file", "f", "", "job `FILE` in YAML; - is standard input. Flags are stronger than what it says")
	if err := c.MarkFlagFilename("file", "yaml", "yml"); err != nil {
		panic(err) // the flag is not defined: a mistake in this package
	}
}

// bindReceipt defines --receipt.
func (j *jobFlags) bindReceipt(f *pflag.FlagSet) {
	f.StringVar(&j.flags.Receipt, "receipt", "", "write the receipt to `FILE` too, as JSON, also when the job fails")
	section(f, sectionHere, "receipt")
}

// resolve puts the job together: flags over environment over job file over defaults. Every mistake is
// named as it was written, as a flag or as a key of the file.
func (j *jobFlags) resolve(a *app, c *cobra.Command, inputs []string) (job, error) {
	var out job
	if j.file != "" {
		if len(inputs) > 0 {
			return job{}, usagef("give either a job file or INPUT, not both: %s names its own input, and %q was given beside it", j.file, inputs[0])
		}
		var err error
		if out, err = a.readJobFile(j.file); err != nil {
			return job{}, err
		}
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			return
		}
		if to, ok := fieldOf(&out, keyOf(f.Name)); ok {
			from, _ := fieldOf(&j.flags, keyOf(f.Name))
			to.Set(from)
		}
	})
	if len(inputs) > 0 {
		out.Input = inputs
	}
	if err := j.refuseZero(c.Flags()); err != nil {
		return job{}, err
	}
	out.Normalize()
	if err := errors.Join(j.named(c.Flags(), out.Validate()), j.named(c.Flags(), remote(out.JobSpec))); err != nil {
		return job{}, usageError{err}
	}
	return out, nil
}

// refuseZero refuses a flag that was given as 0: in a JobSpec 0 means the default.
func (j *jobFlags) refuseZero(fs *pflag.FlagSet) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			return
		}
		v, ok := fieldOf(&j.flags, keyOf(f.Name))
		if ok && v.CanInt() && v.Int() < 1 {
			errs = append(errs, usagef("%s %s: want more than 0", spelling(f), f.Value))
		}
	})
	return errors.Join(errs...)
}

// remote refuses paths of object stores, which are not read or written yet.
func remote(s model.JobSpec) error {
	var errs []error
	check := func(field, path string) {
		if strings.Contains(path, "://") {
			errs = append(errs, &model.SpecError{Field: field, Problem: path + ": only paths of a file system can be used"})
		}
	}
	for _, in := range s.Input {
		check("input", in)
	}
	check("out", s.Out)
	return errors.Join(errs...)
}

// absolutePaths refuses relative paths, which mean something else on every machine of a cluster.
func (j *jobFlags) absolutePaths(fs *pflag.FlagSet, s model.JobSpec) error {
	var errs []error
	check := func(field, path string) {
		if !filepath.IsAbs(path) {
			errs = append(errs, &model.SpecError{Field: field, Problem: path + " is a relative path: on a cluster give the absolute one that all its machines see"})
		}
	}
	for _, in := range s.Input {
		check("input", in)
	}
	check("out", s.Out)
	if err := j.named(fs, errors.Join(errs...)); err != nil {
		return usageError{err}
	}
	return nil
}

// makeAbsolute makes relative paths those of the current directory, so that a receipt means something
// elsewhere too.
func (j *job) makeAbsolute() (err error) {
	inputs := slices.Clone(j.Input)
	for i, in := range inputs {
		if inputs[i], err = filepath.Abs(in); err != nil {
			return err
		}
	}
	j.Input = inputs
	j.Out, err = filepath.Abs(j.Out)
	return err
}

// named says each *model.SpecError in the words of the user: a flag as a flag, a key of a job file
// with the file's name.
func (j *jobFlags) named(fs *pflag.FlagSet, err error) error {
	if err == nil {
		return nil
	}
	list := each(err)
	out := make([]error, len(list))
	for i, e := range list {
		out[i] = e
		var spec *model.SpecError
		if errors.As(e, &spec) {
			out[i] = fmt.Errorf("%s: %s", j.place(fs, spec), spec.Problem)
		}
	}
	return errors.Join(out...)
}

// place is where the user said, or should have said, what is wrong.
func (j *jobFlags) place(fs *pflag.FlagSet, e *model.SpecError) string {
	f := fs.Lookup(strings.ReplaceAll(e.Field, "_", "-"))
	if j.file != "" && (f == nil || !f.Changed) {
		return j.file + ": " + e.Field
	}
	if e.Field == "input" {
		return "INPUT"
	}
	return e.Flag()
}

// keyOf is a flag's key in a job file.
func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// fieldOf finds the field of a job by its key.
func fieldOf(j *job, key string) (reflect.Value, bool) {
	v := reflect.ValueOf(j).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if !f.Anonymous && jsonKey(f) == key {
			return v.FieldByIndex(f.Index), true
		}
	}
	return reflect.Value{}, false
}

// jobKeys are all keys of a job file, in the order of the fields.
func jobKeys() []string {
	var keys []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[job]()) {
		if !f.Anonymous {
			keys = append(keys, jsonKey(f))
		}
	}
	return keys
}

func jsonKey(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
