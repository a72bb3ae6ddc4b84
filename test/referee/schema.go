package referee

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// schemaFields are the parts of a Parquet schema element that an output must keep.
const schemaFields = "name, type, type_length, repetition_type, num_children, converted_type, scale, precision, field_id, logical_type"

// CompareSchemas returns nil if every file of the output has, node for node, the schema of the input
// file, less the top-level columns named in without.
func (r *Referee) CompareSchemas(ctx context.Context, inputFile string, output *Dataset, without ...string) error {
	want, err := r.schema(ctx, inputFile)
	if err != nil {
		return err
	}
	want = dropColumns(want, without)
	for _, file := range output.Files {
		got, err := r.schema(ctx, file)
		if err != nil {
			return err
		}
		if got = dropColumns(got, nil); slices.Equal(want, got) {
			continue
		}
		for i := range max(len(want), len(got)) {
			w, g := "nothing", "nothing"
			if i < len(want) {
				w = want[i].String()
			}
			if i < len(got) {
				g = got[i].String()
			}
			if w != g {
				return fmt.Errorf("%s: schema element %d is\n\t%s, want\n\t%s", file, i, g, w)
			}
		}
	}
	return nil
}

// element is a node of a Parquet schema tree, in the order of the footer.
type element struct {
	name     string
	children int
	rest     string
}

func (e element) String() string { return fmt.Sprintf("%s %s", e.name, e.rest) }

func (r *Referee) schema(ctx context.Context, file string) ([]element, error) {
	rows, err := r.Query(ctx, "SELECT "+schemaFields+" FROM parquet_schema("+quoteText(file)+")")
	if err != nil {
		return nil, err
	}
	names := strings.Split(schemaFields, ", ")
	elements := make([]element, len(rows))
	for i, row := range rows {
		var rest []string
		for k, v := range row[1:] {
			if v != nil {
				rest = append(rest, names[k+1]+"="+*v)
			}
		}
		elements[i] = element{name: *row[0], rest: strings.Join(rest, " ")}
		if children := row[4]; children != nil {
			if _, err := fmt.Sscan(*children, &elements[i].children); err != nil {
				return nil, fmt.Errorf("%s: num_children: %w", file, err)
			}
		}
	}
	return elements, nil
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
