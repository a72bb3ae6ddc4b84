package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-engine/sluice/internal/version"
)

func (a *app) newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print which build this is", GroupID: groupOther, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, version.String())
			return err
		},
	}
}
