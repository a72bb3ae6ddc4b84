package referee

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Compare returns nil if the output holds exactly the input's rows, in any order: as many, with
// equal columns, and an equal multiset of whole rows. Otherwise the error says what differs.
//
// It sums 64-bit hashes, in 128 bits. Floating-point values are compared as texts too, which tell -0.0
// from 0.0.
func (r *Referee) Compare(ctx context.Context, input, output *Dataset, partitionBy ...string) error {
	if err := sameColumns(input, output, partitionBy); err != nil {
		return err
	}
	want, err := r.fingerprint(ctx, input, input.Columns, partitionBy)
	if err != nil {
		return err
	}
	got, err := r.fingerprint(ctx, output, input.Columns, partitionBy)
	if err != nil {
		return err
	}
	if want.rows != got.rows {
		return fmt.Errorf("%s rows became %s", want.rows, got.rows)
	}
	var differ []string
	for i, c := range input.Columns {
		if want.columns[i] != got.columns[i] {
			differ = append(differ, c.Name)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("the values differ in the columns %s", strings.Join(differ, ", "))
	}
	if want.whole != got.whole {
		return errors.New("each column holds the same values, but they lie in other rows")
	}
	return nil
}

// CompareExactly does what Compare does without hashes, and shows some of the rows that differ. It
// holds every row in memory: it is for small data.
func (r *Referee) CompareExactly(ctx context.Context, input, output *Dataset, partitionBy ...string) error {
	if err := sameColumns(input, output, partitionBy); err != nil {
		return err
	}
	a := exactRows(input, input.Columns, partitionBy)
	b := exactRows(output, input.Columns, partitionBy)
	for _, side := range []struct{ what, query string }{
		{"missing in the output", a + " EXCEPT ALL " + b},
		{"not in the input", b + " EXCEPT ALL " + a},
	} {
		count, err := r.Text(ctx, "SELECT count(*) FROM ("+side.query+")")
		if err != nil {
			return err
		}
		if count == "0" {
			continue
		}
		sample, err := r.Query(ctx, "SELECT row FROM ("+side.query+") LIMIT 3")
		if err != nil {
			return err
		}
		return fmt.Errorf("%s rows are %s, such as\n%s", count, side.what,
			list(sample, func(row []*string) string { return *row[0] }))
	}
	return nil
}

// exactRows selects every row as one struct of its values and, beside it, of their texts.
func exactRows(d *Dataset, columns []Column, partitionBy []string) string {
	values := list(columns, func(c Column) string { return quoteName(c.Name) + " := " + value(c, partitionBy) })
	texts := list(columns, func(c Column) string { return quoteName(c.Name) + " := " + value(c, partitionBy) + "::VARCHAR" })
	return fmt.Sprintf("SELECT struct_pack(%s) AS row, struct_pack(%s) AS texts FROM %s", values, texts, d.from)
}

// fingerprint is what two equal multisets of rows have in common.
type fingerprint struct {
	rows    string
	columns []string // sums of hashes, per column
	whole   string   // sum of hashes of whole rows
}

func (r *Referee) fingerprint(ctx context.Context, d *Dataset, columns []Column, partitionBy []string) (fingerprint, error) {
	var query strings.Builder
	query.WriteString("SELECT count(*)")
	for i := range columns {
		fmt.Fprintf(&query, ", sum(h%d)::VARCHAR", i)
	}
	// The cells' hashes are hashed together; the outer hash keeps the last of them from being merely
	// added (DuckDB combines hashes with an exclusive or).
	cells := make([]string, len(columns))
	hashes := make([]string, len(columns))
	for i, c := range columns {
		v := value(c, partitionBy)
		cells[i] = fmt.Sprintf("h%d", i)
		hashes[i] = fmt.Sprintf("hash(%s%s) AS h%d", v, textOf(c, v), i)
	}
	fmt.Fprintf(&query, ", sum(hash(hash(%s)))::VARCHAR FROM (SELECT %s FROM %s)", strings.Join(cells, ", "), strings.Join(hashes, ", "), d.from)
	rows, err := r.Query(ctx, query.String())
	if err != nil {
		return fingerprint{}, err
	}
	texts := make([]string, len(rows[0]))
	for i, v := range rows[0] {
		if v != nil { // sums over no rows
			texts[i] = *v
		}
	}
	return fingerprint{rows: texts[0], columns: texts[1 : len(texts)-1], whole: texts[len(texts)-1]}, nil
}

// textOf adds the value's text where values that differ may be equal to DuckDB: floating point.
func textOf(c Column, value string) string {
	if strings.Contains(c.Type, "FLOAT") || strings.Contains(c.Type, "DOUBLE") {
		return ", " + value + "::VARCHAR"
	}
	return ""
}

// value is the expression of a column's value. A text column that became directories cannot tell ""
// from null: Hive's rule, which the receipt counts.
func value(c Column, partitionBy []string) string {
	if c.Type == "VARCHAR" && slices.Contains(partitionBy, c.Name) {
		return "nullif(" + quoteName(c.Name) + ", '')"
	}
	return quoteName(c.Name)
}

// sameColumns checks names and types: the output's files hold the input's columns in their order,
// less those that became directories.
func sameColumns(input, output *Dataset, partitionBy []string) error {
	var want []Column
	for _, c := range input.Columns {
		if !slices.Contains(partitionBy, c.Name) {
			want = append(want, c)
		}
	}
	got := slices.Clone(output.Columns)
	got = slices.DeleteFunc(got, func(c Column) bool { return slices.Contains(partitionBy, c.Name) })
	if !slices.Equal(want, got) {
		return fmt.Errorf("the columns differ: want %v, the output has %v", want, got)
	}
	if len(output.Columns) != len(input.Columns) {
		return fmt.Errorf("the output has %d columns, the input %d", len(output.Columns), len(input.Columns))
	}
	return nil
}
