package cli

import (
	"fmt"
	goruntime "runtime"

	"github.com/spf13/cobra"
)

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  `Prints the version of ottavo, the Go version it was built with, and the platform.`,
		Example: `  ottavo version
  ottavo --version`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := fmt.Sprintf("ottavo   %s\ngo       %s\nplatform %s/%s\n", p.Version, goruntime.Version(), goruntime.GOOS, goruntime.GOARCH)
			if revision := buildSetting("vcs.revision"); revision != "" {
				text += fmt.Sprintf("commit   %s %s\n", revision, buildSetting("vcs.time"))
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}
