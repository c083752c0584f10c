package cli

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// table writes rows with their columns aligned, each row indented, without spaces
// at the end of lines.
func table(out *bytes.Buffer, indent string, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// section writes a title and, below it, rows; "none" if there are none.
func section(out *bytes.Buffer, title string, rows [][]string) {
	out.WriteString("\n" + title + ":\n")
	if len(rows) == 0 {
		rows = [][]string{{"none"}}
	}
	table(out, "  ", rows)
}
