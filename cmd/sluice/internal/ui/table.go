package ui

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// columns is a table without lines, as kubectl prints them. Names of columns that begin with '>' are
// of numbers, which end below each other.
func columns(header ...string) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Name:   "sluice",
		Box:    table.BoxStyle{PaddingRight: "  "},
		Format: table.FormatOptions{Header: text.FormatUpper},
	})
	t.SuppressTrailingSpaces()
	row := make(table.Row, len(header))
	configs := make([]table.ColumnConfig, len(header))
	named := false
	for i, h := range header {
		name, number := strings.CutPrefix(h, ">")
		row[i], configs[i] = name, table.ColumnConfig{Number: i + 1}
		if number {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		named = named || name != ""
	}
	if named {
		t.AppendHeader(row)
	}
	t.SetColumnConfigs(configs)
	return t
}

// block writes a rendered table, each line moved in.
func block(w io.Writer, indent string, t table.Writer) error {
	var b strings.Builder
	for _, line := range strings.Split(t.Render(), "\n") {
		b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
