// Package referee compares Parquet datasets with DuckDB.
//
// It shares no code with the product: not its reader, not its hashes, not its idea of Hive
// directories. What the referee calls equal a stranger to Sluice reads as equal.
package referee

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the driver "duckdb"
)

// Referee is one DuckDB in memory. It may be used concurrently; Close ends it.
type Referee struct{ db *sql.DB }

// New starts a referee that spills to the directory scratch, if it must.
func New(scratch string) (*Referee, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("starting DuckDB: %w", err)
	}
	r := &Referee{db: db}
	// SET works per connection for some settings; one connection has them all.
	db.SetMaxOpenConns(1)
	for _, setting := range []string{
		"SET autoinstall_known_extensions = false",
		"SET TimeZone = 'UTC'",
		"SET threads = 2",
		"SET memory_limit = '3GB'",
		"SET temp_directory = " + quoteText(scratch),
	} {
		if _, err := db.Exec(setting); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", setting, err), db.Close())
		}
	}
	return r, nil
}

// Close ends the referee.
func (r *Referee) Close() error { return r.db.Close() }

// Exec runs a statement, such as a COPY that makes test data.
func (r *Referee) Exec(ctx context.Context, statement string) error {
	if _, err := r.db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%w\nin: %s", err, statement)
	}
	return nil
}

// Query returns the rows of a query, each value as DuckDB's text of it and NULL as nil.
func (r *Referee) Query(ctx context.Context, query string) (rows [][]*string, err error) {
	found, err := r.db.QueryContext(ctx, "SELECT COLUMNS(*)::VARCHAR FROM ("+query+")")
	if err != nil {
		return nil, fmt.Errorf("%w\nin: %s", err, query)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	names, err := found.Columns()
	if err != nil {
		return nil, err
	}
	for found.Next() {
		row := make([]*string, len(names))
		into := make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// Text returns the one value that the query gives, as text.
func (r *Referee) Text(ctx context.Context, query string) (string, error) {
	rows, err := r.Query(ctx, query)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) != 1 || rows[0][0] == nil {
		return "", fmt.Errorf("want one value that is not null from: %s", query)
	}
	return *rows[0][0], nil
}

// Column is a top-level column and its type in DuckDB's words.
type Column struct{ Name, Type string }

// Dataset is a set of Parquet files with one schema, as an SQL query reads it.
type Dataset struct {
	// Files are all its files in lexical order.
	Files []string
	// Columns are all columns, those of the directories last.
	Columns []Column
	from    string // the table expression
}

// Input reads the files below root (or root itself, if it is a file) without looking at directory
// names.
func (r *Referee) Input(ctx context.Context, root string) (*Dataset, error) {
	return r.open(ctx, root, nil)
}

// Output reads the files below root as a reader of Hive directories does: the partition columns come
// from the names of the directories, and have the types that they have in like.
func (r *Referee) Output(ctx context.Context, root string, like *Dataset, partitionBy ...string) (*Dataset, error) {
	directories := make([]Column, len(partitionBy))
	for i, name := range partitionBy {
		at := slices.IndexFunc(like.Columns, func(c Column) bool { return c.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("the input has no column %q", name)
		}
		directories[i] = like.Columns[at]
	}
	return r.open(ctx, root, directories)
}

func (r *Referee) open(ctx context.Context, root string, directories []Column) (*Dataset, error) {
	files, err := parquetFiles(root)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no Parquet file", root)
	}
	d := &Dataset{Files: files}
	table := fmt.Sprintf("read_parquet([%s], hive_partitioning = %t, hive_types_autocast = false)", list(files, quoteText), len(directories) > 0)
	rows, err := r.Query(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+table+")")
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		d.Columns = append(d.Columns, Column{Name: *row[0], Type: *row[1]})
	}
	d.from = table
	if len(directories) > 0 {
		casts := make([]string, len(directories))
		for i, dir := range directories {
			casts[i] = fmt.Sprintf("%s::%s AS %[1]s", quoteName(dir.Name), dir.Type)
			at := slices.IndexFunc(d.Columns, func(c Column) bool { return c.Name == dir.Name })
			if at < 0 {
				return nil, fmt.Errorf("%s has no directories %s=", root, dir.Name)
			}
			if d.Columns[at].Type != "VARCHAR" {
				return nil, fmt.Errorf("column %s of %s lies in the files too", dir.Name, root)
			}
			d.Columns[at].Type = dir.Type
		}
		d.from = fmt.Sprintf("(SELECT * REPLACE (%s) FROM %s)", strings.Join(casts, ", "), table)
	}
	return d, nil
}

// parquetFiles lists the Parquet files below root. What is no Parquet file is for other tests.
func parquetFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(path) == ".parquet" {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// list joins what each makes of the items with commas.
func list[T any](items []T, each func(T) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = each(item)
	}
	return strings.Join(texts, ", ")
}
