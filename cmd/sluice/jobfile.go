package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sluice-engine/sluice/cmd/sluice/internal/nearest"
	"github.com/sluice-engine/sluice/internal/vfs"
	"github.com/sluice-engine/sluice/model"
)

// maxJobFile is more than any list of input files that somebody wants to read.
const maxJobFile = 4 << 20

// readJobFile reads a job file. Each mistake names the file and the key.
func (a *app) readJobFile(path string) (job, error) {
	data, err := a.readFileOrStdin(path)
	if err != nil {
		return job{}, usagef("-f %s: %w", path, withoutPath(err))
	}
	j, err := parseJob(data)
	if err == nil {
		return j, nil
	}
	var lines []string
	for _, l := range strings.Split(err.Error(), "\n") {
		lines = append(lines, path+": "+l)
	}
	return job{}, usagef("%s", strings.Join(lines, "\n"))
}

// withoutPath takes the path off an error that is shown behind it.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (a *app) readFileOrStdin(path string) ([]byte, error) {
	if path != "-" {
		return vfs.ReadFile(a.fs, path, maxJobFile)
	}
	data, err := io.ReadAll(io.LimitReader(a.stdin, maxJobFile+1))
	if err == nil && len(data) > maxJobFile {
		err = fmt.Errorf("more than %s", model.Size(maxJobFile))
	}
	return data, err
}

// bareN is the key n at the beginning of a line. YAML 1.1 takes n for "no", that is for false.
var bareN = regexp.MustCompile(`(?m)^n[ \t]*:`)

// parseJob reads a job file strictly: a key that does not exist, or exists twice, is a mistake.
func parseJob(data []byte) (job, error) {
	var j job
	asJSON, err := yaml.YAMLToJSONStrict(bareN.ReplaceAll(data, []byte(`"n":`)))
	if err != nil {
		return j, errors.New(yamlMessage(err))
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(asJSON, &keys); err != nil {
		return j, errors.New("want keys and values, such as `out: mart`")
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		field, ok := fieldOf(&j, key)
		if !ok {
			errs = append(errs, unknownKey(key))
			continue
		}
		if err := setKey(field, keys[key]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	return j, errors.Join(errs...)
}

func unknownKey(key string) error {
	if near, ok := nearest.Of(keyOf(key), jobKeys()); ok {
		return fmt.Errorf("unknown key %q: did you mean %q?", key, near)
	}
	return fmt.Errorf("unknown key %q: the keys are %s", key, strings.Join(jobKeys(), ", "))
}

// setKey gives a field the value that the file has.
func setKey(field reflect.Value, raw json.RawMessage) error {
	if string(raw) == "null" {
		return errors.New("has no value")
	}
	err := json.Unmarshal(raw, field.Addr().Interface())
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("want %s, got %s", kindOf(field.Type()), gotKind(wrong.Value))
	}
	if err != nil {
		return err
	}
	// 0 means the default inside; who writes it means something else.
	if field.CanInt() && field.Int() < 1 {
		return fmt.Errorf("%s: want more than 0", raw)
	}
	return nil
}

// kindOf says what a key wants.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list such as [a, b]"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "a text"
}

// gotKind is a JSON type in the words of kindOf.
func gotKind(jsonType string) string {
	switch {
	case strings.HasPrefix(jsonType, "number"):
		return "the " + jsonType
	case jsonType == "string":
		return "a text"
	case jsonType == "array":
		return "a list"
	case jsonType == "bool":
		return "true or false, which YAML also takes y, n, yes, no, on and off for: put a name in quotes"
	}
	return "keys and values"
}

// yamlMessage takes off what the libraries put around the place and the mistake.
func yamlMessage(err error) string {
	s := err.Error()
	s = strings.TrimPrefix(s, "yaml: ")
	s = strings.TrimPrefix(s, "unmarshal errors:\n")
	return strings.TrimSpace(s)
}
