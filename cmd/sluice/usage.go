package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The sections of a verb's flags in help, in their order.
const (
	sectionMain     = ""
	sectionFiles    = "Files"
	sectionAdvanced = "Advanced"
	sectionProcess  = "This machine"
	sectionCluster  = "Cluster"
	sectionHere     = "What this command shows"
)

var sections = []string{sectionMain, sectionFiles, sectionProcess, sectionCluster, sectionHere, sectionAdvanced}

// sectionKey marks a flag with its section.
const sectionKey = "sluice_section"

// section puts flags into a section of help.
func section(f *pflag.FlagSet, name string, flags ...string) {
	for _, fl := range flags {
		if err := f.SetAnnotation(fl, sectionKey, []string{name}); err != nil {
			panic(err) // the flag is not defined: a mistake in this package
		}
	}
}

// usage prints how a verb is called: the lines, its verbs, its flags by section.
func usage(c *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if c.Runnable() && !c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	} else {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", c.CommandPath())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", strings.TrimRight(c.Example, "\n"))
	}
	usageCommands(&b, c)
	usageFlags(&b, c)
	_, err := io.WriteString(c.OutOrStdout(), b.String())
	return err
}

func usageCommands(b *strings.Builder, c *cobra.Command) {
	list := func(title, group string) {
		first := true
		for _, sub := range c.Commands() {
			if sub.GroupID != group || (!sub.IsAvailableCommand() && sub.Name() != "help") {
				continue
			}
			if first {
				fmt.Fprintf(b, "\n%s\n", title)
				first = false
			}
			fmt.Fprintf(b, "  %-12s  %s\n", sub.Name(), sub.Short)
		}
	}
	for _, g := range c.Groups() {
		list(g.Title, g.ID)
	}
	list("Commands:", "")
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(b, "\n`%s COMMAND --help` says more about one.\n", c.CommandPath())
	}
}

func usageFlags(b *strings.Builder, c *cobra.Command) {
	bySection := map[string][]*pflag.Flag{}
	add := func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := sectionMain
		if s := f.Annotations[sectionKey]; len(s) > 0 {
			name = s[0]
		}
		bySection[name] = append(bySection[name], f)
	}
	c.LocalFlags().VisitAll(add)
	if c.HasParent() {
		c.InheritedFlags().VisitAll(add)
	}
	for _, s := range sections {
		if len(bySection[s]) == 0 {
			continue
		}
		title := s
		if s == sectionMain {
			title = "Flags"
		}
		fmt.Fprintf(b, "\n%s:\n", title)
		for _, f := range bySection[s] {
			usageFlag(b, f)
		}
	}
}

// usageColumn is where the text about a flag begins, usageWidth where its lines end.
const (
	usageColumn = 30
	usageWidth  = 100
)

func usageFlag(b *strings.Builder, f *pflag.Flag) {
	head := "      --" + f.Name
	switch {
	case f.Shorthand == f.Name:
		head = "  -" + f.Shorthand
	case f.Shorthand != "":
		head = "  -" + f.Shorthand + ", --" + f.Name
	}
	value, text := pflag.UnquoteUsage(f)
	if value != "" {
		head += " " + value
	}
	if len(head) > usageColumn-2 {
		fmt.Fprintf(b, "%s\n%*s", head, usageColumn, "")
	} else {
		fmt.Fprintf(b, "%-*s", usageColumn, head)
	}
	for i, line := range wrap(text, usageWidth-usageColumn) {
		if i > 0 {
			fmt.Fprintf(b, "%*s", usageColumn, "")
		}
		b.WriteString(line + "\n")
	}
}

// wrap breaks a text into lines of at most width letters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
