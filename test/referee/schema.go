package referee

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// schemaFields are the parts of a Parquet schema element that an output must keep.
const schemaFields = "name, type, type_length, repetition_type, num_children, scale, precision, field_id"

// CompareSchemas returns nil if every file of the output has, node for node, the schema of the input
// file, less the top-level columns named in without. A node's annotation is its logical type; the
// converted type, the old way to say it, counts only where the input has no other, and then the output
// may say it in both ways: that they mean the same Compare checks, which wants columns of one type.
func (r *Referee) CompareSchemas(ctx context.Context, inputFile string, output *Dataset, without ...string) error {
	inputs, err := r.schemas(ctx, []string{inputFile})
	if err != nil {
		return err
	}
	outputs, err := r.schemas(ctx, output.Files)
	if err != nil {
		return err
	}
	want := dropColumns(inputs[inputFile], without)
	for _, file := range output.Files {
		got := dropColumns(outputs[file], nil)
		for i := range min(len(want), len(got)) {
			if want[i].logical != "" {
				got[i].converted = want[i].converted
			} else if want[i].converted != "" {
				got[i].logical = ""
			}
		}
		if err := sameElements(want, got); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// sameElements returns an error that shows the first element that differs.
func sameElements(want, got []element) error {
	for i := range max(len(want), len(got)) {
		w, g := "nothing", "nothing"
		if i < len(want) {
			w = want[i].String()
		}
		if i < len(got) {
			g = got[i].String()
		}
		if w != g {
			return fmt.Errorf("schema element %d is\n\t%s, want\n\t%s", i, g, w)
		}
	}
	return nil
}

// element is a node of a Parquet schema tree, in the order of the footer.
type element struct {
	name     string
	children int
	rest     string // every field but the annotation

	logical, converted string
}

func (e element) String() string {
	return fmt.Sprintf("%s %slogical_type=%s converted_type=%s", e.name, e.rest, e.logical, e.converted)
}

// schemas returns the schema of each file. DuckDB gives the elements of a file in their order.
func (r *Referee) schemas(ctx context.Context, files []string) (map[string][]element, error) {
	rows, err := r.Query(ctx, "SELECT file_name, coalesce(logical_type::VARCHAR, ''), coalesce(converted_type::VARCHAR, ''), "+
		schemaFields+" FROM parquet_schema(["+list(files, quoteText)+"])")
	if err != nil {
		return nil, err
	}
	names := strings.Split(schemaFields, ", ")
	found := map[string][]element{}
	for _, row := range rows {
		file, fields := *row[0], row[3:]
		e := element{name: *fields[0], logical: *row[1], converted: *row[2]}
		for i, v := range fields[1:] {
			if v == nil {
				continue
			}
			name := names[i+1]
			e.rest += name + "=" + *v + " "
			if name == "num_children" {
				if _, err := fmt.Sscan(*v, &e.children); err != nil {
					return nil, fmt.Errorf("%s: num_children of %s: %w", file, e.name, err)
				}
			}
		}
		found[file] = append(found[file], e)
	}
	return found, nil
}

// dropColumns removes the subtrees of top-level columns, and the root, whose number of children tells
// nothing more.
func dropColumns(elements []element, columns []string) []element {
	var kept []element
	for i := 1; i < len(elements); {
		end := subtreeEnd(elements, i)
		if !slices.Contains(columns, elements[i].name) {
			kept = append(kept, elements[i:end]...)
		}
		i = end
	}
	return kept
}

// subtreeEnd returns the index behind the last element of the subtree that begins at i.
func subtreeEnd(elements []element, i int) int {
	end := i + 1
	for range elements[i].children {
		if end >= len(elements) {
			break
		}
		end = subtreeEnd(elements, end)
	}
	return end
}
